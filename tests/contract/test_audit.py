"""The audit log and the tokens on every store: chained in the transaction of what they tell of, and verifiable."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from tests import postgres
from tidegate.adapters.store.opening import State, open_state
from tidegate.core import tokens
from tidegate.model.access import Role, digest_of, id_of, new_secret
from tidegate.model.audit import Act, Head, follow, parse_head
from tidegate.model.errors import ConflictError, UsageError
from tidegate.model.intent import Abort, Intent, SetWeight
from tidegate.model.release import AgentKey

KEY = AgentKey("web", "prod")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    if why := postgres.unavailable():
        pytest.skip(why)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[State]:
    location = str(tmp_path / "t.db") if request.param == "sqlite" else request.getfixturevalue("server")
    opened = await open_state(location)
    await _write(opened, "DELETE FROM audit", "UPDATE audit_head SET seq = 0, hash = '" + "0" * 64 + "'")
    await _write(opened, "DELETE FROM tokens", "DELETE FROM intents")
    try:
        yield opened
    finally:
        await opened.close()


async def _write(state: State, *statements: str) -> None:
    await state.database.write(lambda connection: [connection.execute(text(one)) for one in statements])


def intent(number: int, weight: int = 0) -> Intent:
    return Intent(f"i{number}", KEY, SetWeight(weight) if weight else Abort(), "ada", float(number), f"why {number}")


async def test_every_intent_is_in_the_chain_once_and_in_the_same_transaction(state: State) -> None:
    await asyncio.gather(*(state.store.submit(intent(number)) for number in range(1, 31)))
    await state.store.submit(intent(7))
    with pytest.raises(ConflictError):
        await state.store.submit(intent(7, weight=50))
    entries = await state.audit.entries()
    assert len(entries) == 30
    assert follow(Head(), entries) == await state.audit.head()
    assert {entry.document.split('"intent":"')[1].split('"')[0] for entry in entries} == {f"i{n}" for n in range(1, 31)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("UPDATE audit SET document = replace(document, 'ada', 'eve') WHERE seq = 2", "entry 2 was changed"),
        ("DELETE FROM audit WHERE seq = 2", "entry 2 is missing"),
        ("UPDATE audit SET seq = 9 WHERE seq = 3", "entry 3 is missing"),
        ("UPDATE audit SET previous = hash WHERE seq = 3", "entry 3 does not follow"),
    ],
)
async def test_whatever_is_changed_is_seen(state: State, wrong: str, said: str) -> None:
    for number in range(1, 4):
        await state.store.submit(intent(number))
    await _write(state, wrong)
    with pytest.raises(ValueError, match=said):
        follow(Head(), await state.audit.entries())


async def test_a_chain_that_was_written_anew_does_not_hold_a_head_that_left_the_machine(state: State) -> None:
    for number in range(1, 4):
        await state.store.submit(intent(number))
    told = parse_head(str(await state.audit.head()))
    await _write(state, "DELETE FROM audit", "UPDATE audit_head SET seq = 0, hash = '" + "0" * 64 + "'")
    for number in range(1, 4):
        await state.audit.record(Act(float(number), "eve", "abort"))
    entries = await state.audit.entries()
    assert follow(Head(), entries).sequence == told.sequence
    assert follow(Head(), entries) != told


async def test_tokens_are_kept_as_digests_and_revoked_once(state: State) -> None:
    secret = new_secret()
    token = tokens.make(tokens.Wanted("ci", Role.CI, 600.0, "web", "prod"), secret, "ada", 1000.0)
    await state.access.add(token, tokens.made(token, "for the pipeline", "command line"))
    assert await state.access.find(id_of(secret[1]) or "") == token
    assert token.digest == digest_of(secret[1])
    stored = await state.database.read(lambda c: c.execute(text("SELECT document FROM tokens")).scalar_one())
    assert secret[1].split("_")[2] not in stored
    with pytest.raises(ConflictError):
        await state.access.add(replace(token, id="0" * 12), tokens.made(token, "", "command line"))
    act = tokens.revoked(token, "ada", 1001.0, "leaked", "command line")
    assert await state.access.revoke(token.id, act)
    assert not await state.access.revoke(token.id, act)
    found = await state.access.find(token.id)
    assert found is not None
    assert not found.holds(1002.0)
    assert follow(Head(), await state.audit.entries()).sequence == 2


def test_a_token_of_ci_names_its_agent() -> None:
    with pytest.raises(UsageError, match="one agent in one environment"):
        tokens.make(tokens.Wanted("ci", Role.CI), new_secret(), "ada", 0.0)
    with pytest.raises(UsageError, match="400 days"):
        tokens.make(tokens.Wanted("x", Role.VIEWER, 1e9), new_secret(), "ada", 0.0)


@pytest.mark.parametrize("wrong", ["", "1", "1:abc", "x:" + "0" * 64, "1:" + "g" * 64])
def test_a_head_has_a_form(wrong: str) -> None:
    with pytest.raises(ValueError, match="SEQUENCE:HASH"):
        parse_head(wrong)
