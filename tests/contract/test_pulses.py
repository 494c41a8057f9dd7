"""What every keeper of pulses keeps to: Pulses."""

# ruff: noqa: F811 (fixtures are imported by their names)

from dataclasses import replace

from tests.contract.test_store import location, postgres, state  # noqa: F401 (fixtures)
from tidegate.adapters.store.opening import State, open_state
from tidegate.adapters.store.pulses import CHUNK
from tidegate.model.heartbeat import AgentStatus, Listening, Pulse
from tidegate.model.release import AgentKey

KEY, OTHER = AgentKey("mailer", "prod"), AgentKey("mailer", "test")
HEARD = Listening(90.0, 105.0)


def pulse(index: int, key: AgentKey = KEY, **changes: object) -> Pulse:
    known = Pulse(key, f"{key}.r1.{index}", 1, "1.0.0", AgentStatus.OK, 7, 5.0, 90.0, 91.0, 100.0 + index)
    return replace(known, **changes)  # type: ignore[arg-type]


async def test_nothing_is_there_at_first(state: State) -> None:
    assert await state.pulses.pulses(None) == []
    assert await state.pulses.last_listening() == Listening(None, 0.0)


async def test_the_latest_of_each_instance_is_there_after_opening_again(state: State, location: str) -> None:
    first, second, third = pulse(1), pulse(2, message="full \u2192 half"), pulse(1, OTHER)
    await state.pulses.save_pulses([second, first, third], HEARD)
    again = replace(first, status=AgentStatus.STOPPING, gaps=2, runs=3, skew_s=-0.25, last_at=120.0)
    await state.pulses.save_pulses([again], Listening(None, 121.0))
    reopened = await open_state(location)
    assert await reopened.pulses.pulses(None) == [again, second, third]
    assert await reopened.pulses.pulses(OTHER) == [third]
    assert await reopened.pulses.reporting() == (KEY, OTHER)
    assert await reopened.pulses.last_listening() == Listening(None, 121.0)
    await reopened.close()


async def test_an_empty_batch_keeps_that_somebody_listens(state: State) -> None:
    await state.pulses.save_pulses([], HEARD)
    assert await state.pulses.last_listening() == HEARD


async def test_more_than_a_statement_holds(state: State) -> None:
    many = [pulse(index) for index in range(CHUNK + 5)]
    for _ in range(2):
        await state.pulses.save_pulses(many, HEARD)
    assert len(await state.pulses.pulses(KEY)) == len(many)


async def test_those_not_heard_for_long_are_forgotten(state: State) -> None:
    await state.pulses.save_pulses([pulse(1), pulse(2), pulse(3)], HEARD)
    await state.pulses.forget_pulses(102.0)
    assert [known.instance for known in await state.pulses.pulses(KEY)] == ["mailer.prod.r1.2", "mailer.prod.r1.3"]
