"""core.delivery: which stages begin, what becomes of them, and when the rollout is asked for."""

from dataclasses import replace

import pytest

from tests.memory import release, workload
from tidegate.core.delivery import (
    BREAKING,
    MOST_ATTEMPTS,
    NEEDS,
    STOP_S,
    could_begin,
    decide_delivery,
    needed_by,
    rollout_intent,
)
from tidegate.core.journey import rollout_seen
from tidegate.model import codec
from tidegate.model.delivery import (
    Budget,
    Delivery,
    DeliveryDecision,
    DeliveryFacts,
    DeliveryKey,
    DeliveryPhase,
    Inputs,
    RolloutSeen,
    StageRecord,
    StageState,
)
from tidegate.model.evidence import Evidence, Finding, Severity
from tidegate.model.intent import Answer, Deploy
from tidegate.model.release import AgentKey, Image, Revision
from tidegate.model.rollout import AgentState, Phase, Queued, Rollout
from tidegate.model.source import Commit
from tidegate.model.spec import Analysis, Build, Canary, Environment, Rollback, Spec
from tidegate.model.stages import Bounds, StageName
from tidegate.model.verdict import Outcome

KEY = DeliveryKey(AgentKey("agent", "prod"), 3)
COMMIT = Commit("c" * 40, "subject", version="1.2.0", repository="/repo")
IMAGE = Image("agent:1.2.0-cccccccccccc", "sha256:abc")
SMALL = Bounds(timeout_s=60.0, cpus=1.0, memory_bytes=1 << 30)
EVERY = tuple(StageName)
FOUND = {
    StageName.SOURCE: Evidence(Outcome.PASS, "commit cccccccccccc", commit=COMMIT),
    StageName.BUILD: Evidence(Outcome.PASS, "image made", image=IMAGE),
}


def spec() -> Spec:
    base = workload()
    return Spec("agent", base, {"prod": Environment("prod", workload=base)}, build=Build())


def delivery(*names: StageName) -> Delivery:
    return Delivery(KEY, spec(), "main", "alice", 1.0, tuple(StageRecord(name, SMALL) for name in names or EVERY))


def states(state: Delivery) -> dict[StageName, StageState]:
    return {one.name: one.state for one in state.stages}


def running(state: Delivery) -> set[StageName]:
    return {name for name, one in states(state).items() if one is StageState.RUNNING}


def facts(state: Delivery, now: float = 10.0, **more: object) -> DeliveryFacts:
    inputs = {name: Inputs(f"key-{name}") for name in could_begin(state)}
    given = {"inputs": inputs, "budget": Budget(8.0, 64 << 30), **more}
    return DeliveryFacts(now, **given)  # type: ignore[arg-type]


def passed(*names: StageName) -> dict[StageName, Evidence]:
    return {name: FOUND.get(name, Evidence(Outcome.PASS, f"{name} is good")) for name in names}


def turn(state: Delivery, now: float = 10.0, **more: object) -> DeliveryDecision:
    """What the loop does: what became of work, then what begins with that known."""
    taken = decide_delivery(state, facts(state, now, **more))
    more.pop("done", None)
    begun = decide_delivery(taken.state, facts(taken.state, now, **more))
    return replace(
        begun,
        evidence={**taken.evidence, **begun.evidence},
        release=taken.release or begun.release,
        intents=(*taken.intents, *begun.intents),
    )


def test_every_stage_needs_only_earlier_ones() -> None:
    order = list(StageName)
    assert set(NEEDS) == set(order)
    assert all(order.index(need) < order.index(name) for name, needs in NEEDS.items() for need in needs)


def test_independent_stages_run_at_the_same_time_and_in_order() -> None:
    state, seen = delivery(), []
    for _ in range(20):
        state = turn(state, done=passed(*running(state) - {StageName.ROLLOUT})).state
        if running(state) and running(state) not in seen:
            seen.append(running(state))
    assert seen == [
        {StageName.SOURCE},
        {StageName.SCAN, StageName.UNIT, StageName.BUILD},
        {StageName.INSPECT},
        {StageName.INTEGRATE, StageName.COMPATIBILITY, StageName.PROTOCOL},
        {StageName.CHAOS, StageName.BASELINE},
        {StageName.ROLLOUT},
    ]


def test_what_is_off_is_not_waited_for() -> None:
    state = delivery(StageName.SOURCE, StageName.BUILD, StageName.ROLLOUT)
    state = turn(state).state
    assert running(state) == {StageName.SOURCE}
    state = turn(state, done=passed(StageName.SOURCE)).state
    assert running(state) == {StageName.BUILD}
    decision = turn(state, done=passed(StageName.BUILD))
    assert running(decision.state) == {StageName.ROLLOUT}
    (intent,) = decision.intents
    assert intent.id == rollout_intent(state) == "agent.prod.d3:rollout"
    assert isinstance(intent.action, Deploy)
    assert intent.action.delivery == 3
    assert decision.release == intent.action.release == decision.state.release
    assert intent.action.release.image == IMAGE
    assert intent.action.release.provenance.commit == COMMIT.id


def test_one_stage_alone_brings_what_it_needs() -> None:
    assert needed_by(StageName.INSPECT) == (StageName.SOURCE, StageName.BUILD, StageName.INSPECT)
    assert StageName.ROLLOUT not in needed_by(StageName.CHAOS)


def test_nothing_begins_beyond_the_budget_and_the_too_great_runs_alone() -> None:
    state = turn(delivery(), budget=Budget(2.0, 64 << 30)).state
    state = turn(state, done=passed(StageName.SOURCE), budget=Budget(2.0, 64 << 30)).state
    assert running(state) == {StageName.SCAN, StageName.UNIT}
    state = turn(state, done=passed(StageName.SCAN, StageName.UNIT), budget=Budget(2.0, 1)).state
    assert running(state) == {StageName.BUILD}, "more memory than there is: alone, not never"


def test_the_same_inputs_are_not_looked_at_again() -> None:
    state = turn(turn(delivery()).state, done=passed(StageName.SOURCE)).state
    assert running(state) == {StageName.SCAN, StageName.UNIT, StageName.BUILD}
    again = turn(turn(delivery()).state, done=passed(StageName.SOURCE), budget=Budget(0.5, 1)).state
    known = {name: Inputs("k", FOUND.get(name, Evidence(Outcome.PASS, "fine"))) for name in could_begin(again)}
    state = decide_delivery(again, DeliveryFacts(11.0, known)).state
    record = state.stage(StageName.BUILD)
    assert record is not None
    assert record.reused
    assert record.state is StageState.PASSED
    assert "reused" in record.because
    assert state.image == IMAGE


def test_what_failed_before_is_looked_at_again() -> None:
    state = delivery(StageName.SOURCE, StageName.SCAN)
    state = turn(turn(state).state, done=passed(StageName.SOURCE)).state
    failed = Inputs("k", Evidence(Outcome.FAIL, "no"))
    start = replace(state, stages=(state.stages[0], replace(state.stages[1], state=StageState.WAITING)))
    assert running(turn(start, inputs={StageName.SCAN: failed}).state) == {StageName.SCAN}


def test_a_failure_ends_the_delivery_once_the_others_are_done() -> None:
    state = turn(turn(delivery()).state, done=passed(StageName.SOURCE)).state
    bad = Evidence(Outcome.FAIL, "2 of 9 tests failed", hint="mend them", log=("assert 1 == 2",))
    decision = turn(state, done={StageName.UNIT: bad})
    assert not decision.state.phase.ended
    assert decision.evidence == {StageName.UNIT: bad}
    decision = turn(decision.state, 12.0, done=passed(StageName.SCAN, StageName.BUILD))
    assert decision.state.phase is DeliveryPhase.FAILED
    assert decision.state.because == "unit failed: 2 of 9 tests failed"
    assert states(decision.state)[StageName.INSPECT] is StageState.WAITING, "nothing begins after a failure"
    assert not decision.intents


def test_an_unknown_outcome_is_tried_again_and_then_ends_undecided() -> None:
    state, unknown = turn(delivery()).state, Evidence(Outcome.INCONCLUSIVE, "the engine went away")
    now = 10.0
    for attempt in range(1, MOST_ATTEMPTS):
        decision = turn(state, now, done={StageName.SOURCE: unknown})
        assert decision.wake_at is not None
        assert states(turn(decision.state, now).state)[StageName.SOURCE] is StageState.WAITING, "not at once"
        now = decision.wake_at
        state = turn(decision.state, now).state
        assert state.stages[0].attempt == attempt + 1
        assert running(state) == {StageName.SOURCE}
    state = turn(state, now, done={StageName.SOURCE: unknown}).state
    assert state.phase is DeliveryPhase.INCONCLUSIVE


def test_an_unknown_outcome_of_what_may_not_be_repeated_is_final() -> None:
    start = delivery()
    start = replace(start, stages=(replace(start.stages[0], repeatable=False), *start.stages[1:]))
    state = turn(turn(start).state, done={StageName.SOURCE: Evidence(Outcome.INCONCLUSIVE, "gone")}).state
    assert state.phase is DeliveryPhase.INCONCLUSIVE


def test_a_stage_that_cannot_be_stopped_does_not_hold_the_delivery_for_ever() -> None:
    state = turn(delivery(StageName.SOURCE)).state
    decision = turn(state, 11.0)
    assert decision.wake_at == pytest.approx(10.0 + 60.0 + STOP_S)
    assert not turn(state, decision.wake_at - 1).state.phase.ended
    later = turn(state, decision.wake_at + 1).state
    assert later.stages[0].state is StageState.WAITING
    assert later.stages[0].attempt == 2


def test_a_cancelled_delivery_ends_at_once() -> None:
    state = turn(turn(delivery()).state, done=passed(StageName.SOURCE)).state
    decision = turn(state, cancelled_by="bob")
    assert decision.state.phase is DeliveryPhase.CANCELLED
    assert "bob" in decision.state.because
    assert not running(decision.state)
    assert turn(decision.state).state == decision.state


def test_what_the_release_notes_call_breaking_goes_with_the_release() -> None:
    found = (Finding(BREAKING, Severity.MEDIUM, "the old format is gone"), Finding("other", Severity.LOW, "no matter"))
    state = delivery(StageName.SOURCE, StageName.BUILD, StageName.ROLLOUT)
    state = turn(state).state
    state = turn(state, done={StageName.SOURCE: replace(FOUND[StageName.SOURCE], findings=found)}).state
    asked = turn(state, done=passed(StageName.BUILD)).intents[0].action
    assert isinstance(asked, Deploy)
    assert asked.release.provenance.breaking == "the old format is gone"


def rolling() -> Delivery:
    state = delivery(StageName.SOURCE, StageName.BUILD, StageName.ROLLOUT)
    state = turn(turn(state).state, done=passed(StageName.SOURCE)).state
    return turn(state, done=passed(StageName.BUILD)).state


def test_a_rollout_under_way_is_not_cancelled_but_aborted() -> None:
    state = turn(rolling(), cancelled_by="bob").state
    assert not state.phase.ended


@pytest.mark.parametrize(
    ("seen", "phase"),
    [(StageState.PASSED, DeliveryPhase.PASSED), (StageState.FAILED, DeliveryPhase.FAILED)],
)
def test_the_delivery_ends_as_its_rollout_does(seen: StageState, phase: DeliveryPhase) -> None:
    decision = turn(rolling(), 20.0, rollout=RolloutSeen(seen, "because of it"))
    assert decision.state.phase is phase
    assert decision.state.ended_at == 20.0
    assert not turn(rolling(), 20.0).state.phase.ended


def _state(state: Delivery, phase: Phase, ended_at: float | None = None, other: bool = False) -> AgentState:
    assert state.release is not None
    released = release("9.9.9", workload()) if other else state.release
    revision = Revision(1, "prod", released, workload())
    rollout = Rollout("r", revision, Canary(), Analysis(), Rollback(), 5.0, phase, because="why", ended_at=ended_at)
    return AgentState(KEY.agent, rollout=rollout, stable=revision if phase is Phase.PROMOTED else None)


def test_the_rollout_as_it_is_seen() -> None:
    state, yes = rolling(), Answer("i", True, "begins", 1)
    assert rollout_seen(state, None, None).state is StageState.RUNNING
    no = rollout_seen(state, Answer("i", False, "locked"), AgentState(KEY.agent))
    assert no == RolloutSeen(StageState.FAILED, "refused: locked")
    assert rollout_seen(state, yes, _state(state, Phase.PROGRESSING)).state is StageState.RUNNING
    assert rollout_seen(state, yes, _state(state, Phase.PAUSED)).state is StageState.RUNNING
    assert rollout_seen(state, yes, _state(state, Phase.PROMOTED, 30.0)) == RolloutSeen(StageState.PASSED, "why")
    assert rollout_seen(state, yes, _state(state, Phase.ROLLED_BACK, 30.0)) == RolloutSeen(StageState.FAILED, "why")
    nothing_to_do = _state(state, Phase.PROMOTED, 2.0)
    assert rollout_seen(state, yes, nothing_to_do) == RolloutSeen(StageState.PASSED, "begins")
    assert rollout_seen(state, yes, _state(state, Phase.PROMOTED, 30.0, other=True)).state is StageState.FAILED


def test_a_rollout_that_waits_in_line_is_waited_for() -> None:
    state, yes = rolling(), Answer("i", True, "waits", None)
    assert state.release is not None
    deploy = Deploy(state.release, workload(), Canary(), Analysis(), Rollback(), delivery=3)
    queued = replace(_state(state, Phase.PROGRESSING, other=True), queued=Queued(deploy, "alice", 1.0))
    assert rollout_seen(state, yes, queued).state is StageState.RUNNING
    assert rollout_seen(state, yes, replace(queued, queued=None)).state is StageState.FAILED


def test_a_delivery_survives_its_plain_form() -> None:
    assert codec.load(codec.dump(rolling()), Delivery) == rolling()
