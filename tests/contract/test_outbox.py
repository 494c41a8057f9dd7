"""What every state keeps to: Switches and Outbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tidegate.adapters.store.opening import State, open_state
from tidegate.model.standing import PausedAll


@pytest.fixture
async def location(tmp_path: Path) -> str:
    return str(tmp_path / "tidegate.db")


@pytest.fixture
async def state(location: str) -> AsyncIterator[State]:
    opened = await open_state(location)
    yield opened
    await opened.close()


async def test_a_position_only_grows_and_is_there_after_opening_again(state: State, location: str) -> None:
    assert await state.outbox.position("a/chat") is None
    await state.outbox.advance("a/chat", 7)
    await state.outbox.advance("a/chat", 3)
    await state.outbox.advance("b/chat", 2**40)
    again = await open_state(location)
    assert await again.outbox.position("a/chat") == 7
    await again.outbox.advance("a/chat", 8)
    await again.close()
    assert (await state.outbox.position("a/chat"), await state.outbox.position("b/chat")) == (8, 2**40)


async def test_the_switch_is_off_on_and_off_again(state: State, location: str) -> None:
    assert await state.switches.paused() is None
    first, second = PausedAll("ada", 1.0, "why"), PausedAll("grace", 2.0)
    await state.switches.pause(first)
    await state.switches.pause(second)
    again = await open_state(location)
    assert await again.switches.paused() == second
    await again.switches.pause(None)
    await again.close()
    assert await state.switches.paused() is None
