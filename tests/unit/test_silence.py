"""Instances whose code is of another version than they should be: told once, and once more when it is right."""

from tests.memory import KEY, release, workload
from tidegate.core.silence import listen
from tidegate.model.observation import InstanceState, Observation, ObservedHeartbeat, ObservedInstance
from tidegate.model.release import Revision
from tidegate.model.rollout import AgentState

STATE = AgentState(KEY, 2, stable=Revision(1, "prod", release("1.1.0", workload()), workload()))


def seen(version: str | None, revision: int = 1) -> Observation:
    heartbeat = ObservedHeartbeat(99.0, 1.0, 5.0, version=version) if version is not None else None
    instance = ObservedInstance("web.prod.r1.1", revision, InstanceState.RUNNING, heartbeat=heartbeat)
    return Observation(100.0, instances=(instance,))


def test_another_version_is_told_once_and_so_is_the_right_one() -> None:
    state, events = listen(STATE, seen("1.0.9"), 100.0)
    assert [event.because for event in events] == ["web.prod.r1.1 says that it is version 1.0.9; it should be 1.1.0"]
    state, events = listen(state, seen("1.0.9"), 101.0)
    assert events == ()
    state, events = listen(state, seen(None), 102.0)  # nothing is heard: nothing has changed
    assert (dict(state.drifted), events) == ({"web.prod.r1.1": "1.0.9"}, ())
    state, events = listen(state, seen("1.1.0"), 103.0)
    assert [event.because for event in events] == ["web.prod.r1.1 says that it is version 1.1.0 now"]
    assert not state.drifted


def test_who_says_nothing_or_is_of_an_unknown_revision_is_not_judged() -> None:
    assert listen(STATE, seen(""), 100.0) == (STATE, ())
    assert listen(STATE, seen("0.1", revision=7), 100.0) == (STATE, ())
