"""What every store keeps to: Store, Journal and LeaseStore."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError

from tests.postgres import server, unavailable
from tidegate.adapters.store.opening import State, open_state
from tidegate.controller.trimming import trim
from tidegate.model import spec
from tidegate.model.decision import Decision
from tidegate.model.desired import Desired
from tidegate.model.errors import ConflictError, LeaseLostError
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Answer, Intent, Scale
from tidegate.model.observation import Block, Traffic
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState, Phase, Rollout
from tidegate.model.workload import Workload

KEY = AgentKey("logship", "prod")
OTHER = AgentKey("metrics", "prod")


def release(name: str = "abcdef012345", version: str = "1.0.0") -> Release:
    return Release(name, "logship", version, Image(f"logship:{version}"), Workload(environment={"A": "1"}))


def decision(replicas: int = 1, events: int = 0, answers: tuple[Answer, ...] = (), revision: int = 1) -> Decision:
    stable = Revision(revision, "prod", release(), Workload())
    state = AgentState(KEY, next_revision=revision + 1, stable=stable, replicas=replicas)
    happened = tuple(Event(float(n), KEY, EventKind.SCALE, f"{n} now", revision, {"n": n}) for n in range(events))
    return Decision(state, Desired(KEY), happened, answers)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    if reason := unavailable():
        pytest.skip(reason)
    with server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "tidegate.db")
    monkeypatch.setenv("HOME", str(tmp_path))  # where the reserve of a server's client lives
    url: str = request.getfixturevalue("postgres")
    with create_engine(url).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    return url


@pytest.fixture
async def state(location: str) -> AsyncIterator[State]:
    opened = await open_state(location)
    yield opened
    await opened.close()


@pytest.fixture
async def epoch(state: State) -> int:
    taken = await state.lease.acquire("a", 10.0, 0.0)
    assert taken is not None
    return taken


async def test_nothing_is_there_at_first(state: State) -> None:
    assert await state.store.load(KEY) is None
    assert await state.store.keys() == ()
    assert await state.store.pending(KEY) == ()
    assert await state.store.answer("1") is None
    assert await state.journal.events(None) == []
    assert await state.journal.blocks(KEY, 0, 1e12) == []
    assert await state.journal.releases("logship") == []
    assert await state.journal.revisions(KEY) == []


async def test_a_saved_decision_is_there_after_opening_again(state: State, epoch: int, location: str) -> None:
    wanted = decision(replicas=3, events=2)
    await state.store.save(wanted, epoch)
    again = await open_state(location)
    try:
        assert await again.store.load(KEY) == wanted.state
        assert [event for _, event in await again.journal.events(KEY)] == list(wanted.events)
        assert await again.store.keys() == (KEY,)
    finally:
        await again.close()


async def test_the_last_save_counts_and_events_add_up(state: State, epoch: int) -> None:
    await state.store.save(decision(replicas=1, events=1), epoch)
    await state.store.save(decision(replicas=2, events=2), epoch)
    loaded = await state.store.load(KEY)
    assert loaded is not None
    assert loaded.replicas == 2
    assert len(await state.journal.events(None)) == 3


async def test_a_save_of_a_lost_epoch_changes_nothing(state: State, epoch: int) -> None:
    await state.store.save(decision(replicas=1), epoch)
    assert await state.lease.acquire("b", 10.0, 100.0) == epoch + 1
    with pytest.raises(LeaseLostError):
        await state.store.save(decision(replicas=9, events=1), epoch)
    loaded = await state.store.load(KEY)
    assert loaded is not None
    assert loaded.replicas == 1
    assert await state.journal.events(None) == []


async def test_a_lease_from_a_clock_that_was_set_back_since_is_free(state: State) -> None:
    epoch = await state.lease.acquire("a", 10.0, 7200.0)
    assert epoch is not None
    assert await state.lease.acquire("b", 10.0, 7195.0) is None, "two clocks need not agree to the second"
    assert await state.lease.acquire("b", 10.0, 0.0) == epoch + 1
    assert not await state.lease.renew("a", epoch, 10.0, 1.0)


async def test_nothing_is_saved_without_a_lease(state: State) -> None:
    with pytest.raises(LeaseLostError):
        await state.store.save(decision(), 1)


async def test_an_intent_is_pending_until_a_decision_answers_it(state: State, epoch: int) -> None:
    first, second = (Intent(name, KEY, Scale(n), "alice", n, "load") for n, name in enumerate("ab"))
    await state.store.submit(first)
    await state.store.submit(second)
    await state.store.submit(second)
    assert await state.store.keys() == (KEY,)
    assert await state.store.pending(KEY) == (first, second)
    assert await state.store.pending(OTHER) == ()
    said = Answer("a", True, "scaled to 0", 1)
    await state.store.save(decision(answers=(said,)), epoch)
    assert await state.store.pending(KEY) == (second,)
    assert await state.store.answer("a") == said
    assert await state.store.answer("b") is None


async def test_an_answer_is_given_once(state: State, epoch: int) -> None:
    await state.store.submit(Intent("a", KEY, Scale(1), "alice", 0.0))
    await state.store.save(decision(answers=(Answer("a", True, "yes"),)), epoch)
    await state.store.save(decision(answers=(Answer("a", False, "no"),)), epoch)
    assert await state.store.answer("a") == Answer("a", True, "yes")


async def test_an_intents_id_cannot_say_two_things(state: State) -> None:
    await state.store.submit(Intent("a", KEY, Scale(1), "alice", 0.0))
    with pytest.raises(ConflictError):
        await state.store.submit(Intent("a", KEY, Scale(2), "alice", 0.0))


async def test_every_revision_ever_decided_is_kept(state: State, epoch: int) -> None:
    for number in (1, 2, 3):
        await state.store.save(decision(revision=number), epoch)
    candidate = Revision(4, "prod", release(), Workload())
    rollout = Rollout("r", candidate, spec.Canary(), spec.Analysis(), spec.Rollback(), 0.0)
    under_way = decision(revision=3)
    under_way = dataclasses.replace(under_way, state=dataclasses.replace(under_way.state, rollout=rollout))
    await state.store.save(under_way, epoch)
    assert [revision.number for revision in await state.journal.revisions(KEY)] == [1, 2, 3, 4]
    assert (await state.journal.revisions(KEY))[3] == candidate


async def test_events_come_in_order_by_pages(state: State) -> None:
    happened = [Event(float(n), KEY if n % 2 else OTHER, EventKind.NOTICE, str(n)) for n in range(10)]
    await state.journal.append(happened)
    await state.journal.append([])
    first = await state.journal.events(None, limit=4)
    rest = await state.journal.events(None, after=first[-1][0])
    assert [event for _, event in first + rest] == happened
    assert [event.because for _, event in await state.journal.events(KEY)] == ["1", "3", "5", "7", "9"]


async def test_what_others_commit_is_seen_at_once_by_who_asks_again_and_again(state: State, location: str) -> None:
    here = state
    there = await open_state(location)
    try:
        for turn in range(20):
            known = len(await here.journal.events(None))
            assert await here.store.asked() == ()
            await there.store.submit(Intent(str(turn), KEY, Scale(1), "alice", 0.0))
            assert await here.store.asked() == (KEY,)
            await there.journal.append([Event(1.0, KEY, EventKind.NOTICE, "there")])
            assert len(await here.journal.events(None)) == known + 1
            epoch = await there.lease.acquire("there", 10.0, 100.0 * turn)
            assert epoch is not None
            await there.store.save(decision(answers=(Answer(str(turn), True, "yes"),)), epoch)
    finally:
        await there.close()


@pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET document = '{}'"])
async def test_events_never_change_and_never_go(state: State, statement: str) -> None:
    await state.journal.append([Event(1.0, KEY, EventKind.NOTICE, "kept")])
    with pytest.raises(DatabaseError, match="events never"), state.database.engine.begin() as connection:
        connection.execute(text(statement))
    assert len(await state.journal.events(None)) == 1


async def test_releases_are_found_by_id_version_and_prefix(state: State) -> None:
    first, second = release("abcdef012345", "1.0.0"), release("abcd99999999", "1.1.0")
    for one in (first, second, first):
        await state.journal.add_release(one)
    assert await state.journal.releases("logship") == [first, second]
    assert await state.journal.find_release("logship", "abcdef012345") == first
    assert await state.journal.find_release("logship", "1.1.0") == second
    assert await state.journal.find_release("logship", "abcd9") == second
    assert await state.journal.find_release("logship", "abc") is None
    assert await state.journal.find_release("other", "1.0.0") is None
    with pytest.raises(ConflictError, match=r"abcdef012345 \(1.0.0\)"):
        await state.journal.find_release("logship", "abcd")


async def test_blocks_come_back_by_span(state: State) -> None:
    kept = [
        Block(
            1000.0 + n,
            1.0,
            {1: Traffic(n, 0, (n, 0, 1))},
            {"cpu": {1: 0.5 + n / 10}},
            {"prom": "down"} if n == 3 else {},
        )
        for n in range(1500)
    ]
    for start in range(0, 1500, 70):
        await state.journal.add_blocks(KEY, kept[start : start + 70])
    assert await state.journal.blocks(KEY, 0.0, 1e12) == kept
    assert await state.journal.blocks(KEY, 1100.0, 1102.0) == kept[100:103]
    assert await state.journal.blocks(OTHER, 0.0, 1e12) == []


async def test_old_blocks_are_forgotten_and_those_of_the_last_rollout_are_not(state: State, epoch: int) -> None:
    blocks = [Block(float(at), 1.0) for at in range(1, 481)]
    await state.journal.add_blocks(KEY, blocks)
    await state.journal.add_blocks(OTHER, blocks)
    assert await state.journal.trim(KEY, 200.0) == 120
    assert (await state.journal.blocks(KEY, 0.0, 1e9))[0].at == 121.0, "rows of two minutes go whole"
    assert await state.journal.blocks(OTHER, 0.0, 1e9) == blocks
    stable = Revision(1, "prod", release(), Workload())
    last = Rollout("r", stable, spec.Canary(), spec.Analysis(), spec.Rollback(), 1300.0, Phase.PROMOTED)
    await state.store.save(Decision(AgentState(KEY, rollout=last), Desired(KEY)), epoch)
    assert await trim(state.store, state.journal, 10**6, 86400.0) == 240, "900 s before the rollout began are kept"
    assert (await state.journal.blocks(KEY, 0.0, 1e9))[0].at == 361.0
    await state.compact()
    assert (await state.journal.blocks(KEY, 0.0, 1e9))[-1] == blocks[-1]


async def test_only_one_holds_the_lease(state: State) -> None:
    assert await state.lease.acquire("a", 10.0, 0.0) == 1
    assert await state.lease.acquire("b", 10.0, 9.9) is None
    assert await state.lease.renew("a", 1, 10.0, 9.0)
    assert await state.lease.acquire("b", 10.0, 18.9) is None
    assert await state.lease.acquire("b", 10.0, 19.0) == 2
    assert not await state.lease.renew("a", 1, 10.0, 19.0)
    await state.lease.release("a", 1)
    assert await state.lease.acquire("a", 10.0, 19.1) is None
    await state.lease.release("b", 2)
    assert await state.lease.acquire("a", 10.0, 19.2) == 3


async def test_every_environment_has_a_lease_of_its_own(state: State) -> None:
    ours, theirs = state.lease_of(KEY.environment), state.lease_of("staging")
    assert await ours.acquire("a", 10.0, 100.0) == 100
    assert await theirs.acquire("b", 10.0, 105.0) == 105
    assert await ours.acquire("c", 10.0, 105.0) is None
    await state.store.save(decision(replicas=2), 100)
    with pytest.raises(LeaseLostError):
        await state.store.save(decision(replicas=3), 105)
    assert await ours.acquire("c", 10.0, 111.0) == 101
    assert await theirs.renew("b", 105, 10.0, 112.0), "nobody took it"
    await ours.release("c", 101)
    assert await ours.acquire("d", 10.0, 112.0) == 102


async def test_who_decides_for_every_environment_is_waited_for_and_then_shut_out(state: State) -> None:
    """A Tidegate of before there were several leases still runs while this one comes."""
    former = await state.lease.acquire("former", 10.0, 100.0)
    assert former is not None
    await state.store.save(decision(replicas=1), former)
    ours = state.lease_of(KEY.environment)
    assert await ours.acquire("a", 10.0, 109.0) is None
    assert await ours.acquire("a", 10.0, 110.0) == former + 1
    assert not await state.lease.renew("former", former, 10.0, 111.0)
    with pytest.raises(LeaseLostError):
        await state.store.save(decision(replicas=9), former)


async def test_a_restarted_holder_shuts_its_former_self_out(state: State) -> None:
    assert await state.lease.acquire("a", 10.0, 0.0) == 1
    assert await state.lease.acquire("a", 10.0, 1.0) == 2
    assert not await state.lease.renew("a", 1, 10.0, 1.0)


async def test_a_decision_in_the_reserve_is_there_after_opening_again(state: State, epoch: int, location: str) -> None:
    await state.store.save(decision(replicas=1, events=1), epoch)
    await state.store.save_in_reserve(decision(replicas=5, events=2), epoch)
    again = await open_state(location)
    loaded = await again.store.load(KEY)
    assert loaded is not None
    assert loaded.replicas == 5
    assert len(await again.journal.events(KEY)) == 3
    await again.close()


async def test_many_open_a_fresh_state_at_once(location: str) -> None:
    states = await asyncio.gather(*(open_state(location) for _ in range(4)))
    assert await asyncio.gather(*(state.store.keys() for state in states)) == [()] * 4
    for state in states:
        await state.close()


async def test_of_many_that_ask_at_once_one_gets_the_lease(location: str) -> None:
    states = [await open_state(location) for _ in range(4)]
    got = await asyncio.gather(*(s.lease.acquire(f"h{n}", 10.0, 0.0) for n, s in enumerate(states)))
    for opened in states:
        await opened.close()
    assert sorted(epoch for epoch in got if epoch is not None) == [1]
