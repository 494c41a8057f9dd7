"""Deliveries: numbered by the store; state, evidence, release and intents are saved together, or not at all."""

# ruff: noqa: F811 (fixtures are imported by their names)

from dataclasses import replace

import pytest

from tests.contract.test_store import location, postgres, state  # noqa: F401 (fixtures)
from tests.memory import release, workload
from tidegate.adapters.store.opening import State
from tidegate.model.delivery import Delivery, DeliveryDecision, DeliveryKey, DeliveryPhase, StageRecord, StageState
from tidegate.model.errors import LeaseLostError, NotFoundError
from tidegate.model.event import Event, EventKind
from tidegate.model.evidence import Case, CaseState, Evidence, Finding, Table
from tidegate.model.intent import Abort, Intent
from tidegate.model.release import AgentKey, Image
from tidegate.model.source import Commit
from tidegate.model.spec import Build, Environment, Spec
from tidegate.model.stages import Severity, StageName
from tidegate.model.verdict import Outcome

AGENT = AgentKey("agent", "prod")
EVIDENCE = Evidence(
    Outcome.FAIL,
    "1 of 2 tests failed",
    findings=(Finding("DL3006", Severity.HIGH, "no tag", "Dockerfile:1", "write one"),),
    tables=(Table("layers", ("size", "command"), (("1 MB", "COPY"),)),),
    cases=(Case("suite", "test", CaseState.FAILED, 0.5, "assert"),),
    numbers={"took_s": 1.5},
    facts={"tool": "1.0"},
    files=("junit.xml",),
    commit=Commit("c" * 40),
    image=Image("agent:1"),
)


def new() -> Delivery:
    base = workload()
    spec = Spec("agent", base, {"prod": Environment("prod", workload=base)}, build=Build())
    stages = (StageRecord(StageName.SOURCE, key="k1", state=StageState.PASSED), StageRecord(StageName.ROLLOUT))
    return Delivery(DeliveryKey(AGENT, 0), spec, "main", "alice", 1.0, stages)


def decision(delivery: Delivery, ended: bool = False) -> DeliveryDecision:
    made = release("1.0.0", workload())
    after = replace(delivery, release=made, phase=DeliveryPhase.PASSED if ended else DeliveryPhase.RUNNING)
    intent = Intent("d:rollout", AGENT, Abort(), "alice", 1.0)
    event = Event(1.0, AGENT, EventKind.STAGE, "begins")
    return DeliveryDecision(after, {StageName.SOURCE: EVIDENCE}, made, (intent,), (event,))


async def test_deliveries_are_numbered_for_each_agent_and_environment(state: State) -> None:
    first, second = await state.deliveries.begin(new()), await state.deliveries.begin(new())
    other = replace(new(), key=DeliveryKey(AgentKey("agent", "stage"), 0))
    assert (first.key.number, second.key.number) == (1, 2)
    assert (await state.deliveries.begin(other)).key.number == 1
    assert await state.deliveries.open("prod") == (first.key, second.key)
    assert await state.deliveries.load_delivery(first.key) == first
    assert await state.deliveries.latest(AGENT, 5) == [second, first]
    assert await state.deliveries.load_delivery(DeliveryKey(AGENT, 9)) is None


async def test_what_was_saved_is_read_back(state: State) -> None:
    epoch = await state.lease.acquire("one", 10.0, 0.0)
    assert epoch is not None
    begun = await state.deliveries.begin(new())
    given = decision(begun, ended=True)
    await state.deliveries.save_delivery(given, epoch)
    await state.deliveries.save_delivery(given, epoch)
    assert await state.deliveries.load_delivery(begun.key) == given.state
    assert await state.deliveries.open("prod") == ()
    assert await state.deliveries.find_evidence("agent", StageName.SOURCE, "k1") == EVIDENCE
    assert await state.deliveries.find_evidence("agent", StageName.SOURCE, "k2") is None
    assert await state.deliveries.of_release("agent", "id-1.0.0") == given.state
    assert await state.deliveries.of_release("other", "id-1.0.0") is None
    assert await state.store.pending(AGENT) == given.intents
    assert (await state.journal.find_release("agent", "1.0.0")) == given.release


async def test_who_lost_the_lease_saves_nothing(state: State) -> None:
    epoch = await state.lease.acquire("one", 10.0, 0.0)
    assert epoch is not None
    begun = await state.deliveries.begin(new())
    assert await state.lease.acquire("two", 10.0, 100.0) is not None
    with pytest.raises(LeaseLostError):
        await state.deliveries.save_delivery(decision(begun), epoch)
    assert await state.deliveries.load_delivery(begun.key) == begun
    assert await state.deliveries.find_evidence("agent", StageName.SOURCE, "k1") is None
    assert await state.store.pending(AGENT) == ()


async def test_a_cancellation_is_kept(state: State) -> None:
    begun = await state.deliveries.begin(new())
    assert await state.deliveries.cancelled_by(begun.key) == ""
    await state.deliveries.cancel(begun.key, "bob")
    assert await state.deliveries.cancelled_by(begun.key) == "bob"
    with pytest.raises(NotFoundError):
        await state.deliveries.cancel(DeliveryKey(AGENT, 9), "bob")
