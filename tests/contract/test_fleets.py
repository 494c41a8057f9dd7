"""Fleets: state and the intents for hosts are saved together, or not at all."""

# ruff: noqa: F811 (fixtures are imported by their names)

import pytest

from tests.contract.test_store import location, postgres, state  # noqa: F401 (fixtures)
from tests.memory import release, workload
from tidegate.adapters.store.opening import State
from tidegate.model.errors import ConflictError, LeaseLostError
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetDecision, FleetRollout, FleetState, HostState, Wave
from tidegate.model.intent import Abort, Answer, Intent
from tidegate.model.release import AgentKey, Revision
from tidegate.model.spec import Analysis, Canary, Rollback
from tidegate.model.waves import Host, HostTls, Limits

KEY = AgentKey("agent", "edge")
HOST = Host("h1", "tcp://10.0.0.1:2376", {"ring": "canary"}, HostTls("ca", "cert", "key"))


def decision(*intents: Intent) -> FleetDecision:
    revision = Revision(1, "edge", release("1.0.0", workload()), workload())
    wave = Wave(("h1",), Limits("25%"))
    rollout = FleetRollout(
        "r1", revision, Canary(), Analysis(), Rollback(), (wave,), {"h1": HostState("h1", 0, asks=1)}, 5.0
    )
    state = FleetState(KEY, 2, (HOST,), revision, (revision,), rollout)
    events = (Event(1.0, KEY, EventKind.HOST, "h1 begins", 1),)
    return FleetDecision(state, intents, events, (Answer("asked", True, "begins", 1),))


def intent(name: str = "r1:h1:1", reason: str = "") -> Intent:
    return Intent(name, KEY.on("h1"), Abort(), "operator", 1.0, reason)


async def test_what_was_saved_is_read_back(state: State) -> None:
    epoch = await state.lease.acquire("one", 10.0, 0.0)
    assert epoch is not None
    assert await state.fleets.load_fleet(KEY) is None
    given = decision(intent())
    await state.fleets.save_fleet(given, epoch)
    await state.fleets.save_fleet(given, epoch)
    assert await state.fleets.load_fleet(KEY) == given.state
    assert await state.store.pending(KEY.on("h1")) == (intent(),)
    assert await state.store.pending(KEY) == ()
    assert await state.store.load(KEY) is None
    assert await state.store.keys() == (KEY, KEY.on("h1"))
    assert [one.number for one in await state.journal.revisions(KEY)] == [1]
    assert await state.store.answer("asked") == given.answers[0]


async def test_who_lost_the_lease_saves_nothing(state: State) -> None:
    epoch = await state.lease.acquire("one", 10.0, 0.0)
    assert epoch is not None
    assert await state.lease.acquire("two", 10.0, 100.0) is not None
    with pytest.raises(LeaseLostError):
        await state.fleets.save_fleet(decision(intent()), epoch)
    assert await state.fleets.load_fleet(KEY) is None
    assert await state.store.pending(KEY.on("h1")) == ()


async def test_an_id_that_was_given_to_something_else_undoes_the_whole_transaction(state: State) -> None:
    epoch = await state.lease.acquire("one", 10.0, 0.0)
    assert epoch is not None
    await state.store.submit(intent(reason="another"))
    with pytest.raises(ConflictError):
        await state.fleets.save_fleet(decision(intent("new"), intent()), epoch)
    assert await state.fleets.load_fleet(KEY) is None
    assert [one.id for one in await state.store.pending(KEY.on("h1"))] == ["r1:h1:1"]
