"""The plain form of state goes through JSON text and comes back equal, unions included."""

import json

from tidegate.model import intent, spec
from tidegate.model.codec import dump, load
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState, Restarts, Rollout
from tidegate.model.workload import Route, Workload

KEY = AgentKey("logship", "prod")
RELEASE = Release("abc", "logship", "1.0.0", Image("logship:1.0.0"), Workload(routes=(Route(8080, 80),)))


def state() -> AgentState:
    revision = Revision(1, "prod", RELEASE, Workload(ulimits={"nofile": (1, 2)}, environment={"A": "1"}))
    strategy = spec.Canary(steps=(spec.SetWeight(10), spec.Pause(), spec.Analyse(3.0)))
    rollout = Rollout("r", revision, strategy, spec.Analysis(), spec.Rollback(), 1.0)
    return AgentState(KEY, stable=revision, rollout=rollout, restarts={"a": Restarts(1, "x", 2.5)})


def test_state_comes_back_equal() -> None:
    assert load(json.loads(json.dumps(dump(state()))), AgentState) == state()


def test_an_intent_comes_back_equal() -> None:
    action = intent.Deploy(RELEASE, Workload(), spec.Canary(), spec.Analysis(), spec.Rollback())
    wanted = intent.Intent("1", KEY, action, "alice", 1.0)
    assert load(json.loads(json.dumps(dump(wanted))), intent.Intent) == wanted


def test_a_state_of_an_older_version_takes_defaults_and_ignores_what_is_gone() -> None:
    plain = dump(state())
    plain["no_longer_known"] = 1
    del plain["restarts"]
    assert load(plain, AgentState).restarts == {}
