"""Plays a rollout turn by turn on a clock that somebody else moves: for `simulate` and the scenario tests."""

from collections.abc import Callable

from tidegate.controller.loop import AgentLoop, Turn
from tidegate.controller.sampler import PERIOD_S
from tidegate.ports import Clock

TURN_S = 0.1


async def play(
    loop: AgentLoop, clock: Clock, until: Callable[[Turn], bool], limit_s: float, quiet_s: float = TURN_S
) -> Turn:
    """Turn and sample until `until` says so or `limit_s` has passed on the clock; the last turn is returned.

    `quiet_s` is how long to wait after a turn that had nothing to do: longer is faster.
    """
    end, next_sample = clock.now() + limit_s, clock.now()
    while True:
        if clock.now() >= next_sample:
            await loop.sampler.sample(loop.metered())
            next_sample = clock.now() + PERIOD_S
        turn = await loop.turn()
        if until(turn) or clock.now() >= end:
            return turn
        await clock.sleep(TURN_S if turn.plan or turn.decision.events else quiet_s)
