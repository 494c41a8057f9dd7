"""Samples traffic at 1 Hz into blocks, apart from the loop's ticks: evidence never depends on how often one looks."""

from collections.abc import Mapping, Sequence

from tidegate.controller.meters import NOTHING, Metered
from tidegate.model.errors import TidegateError
from tidegate.model.metering import GATEWAY
from tidegate.model.observation import Block, Traffic
from tidegate.model.release import AgentKey
from tidegate.ports import Clock, Gateway, Journal

PERIOD_S = 1.0
BATCH = 10
MOST_WAITING = 3600


class Sampler:
    """The blocks of one agent in one environment. A gap is one block with its duration."""

    def __init__(self, key: AgentKey, gateway: Gateway, journal: Journal, clock: Clock) -> None:
        self._key = key
        self._gateway = gateway
        self._journal = journal
        self._clock = clock
        self._last: dict[int, Traffic] | None = None
        self._last_at = clock.now()
        self._fresh: list[Block] = []
        self._unsaved: list[Block] = []

    async def sample(self, metered: Metered = NOTHING, *, routed: bool = True) -> Block:
        """Take one block: what happened since the last one, and what other sources say as of now."""
        now = self._clock.now()
        traffic: dict[int, Traffic] = {}
        missing = dict(metered.missing)
        try:
            if routed:
                counters = await self._gateway.counters(self._key)
                traffic = _increments(self._last, counters) if self._last is not None else {}
                self._last = counters
        except TidegateError as error:
            missing[GATEWAY] = error.message
        block = Block(now, max(now - self._last_at, 0.0), traffic, metered.values, missing)
        self._last_at = now
        self._fresh = [*self._fresh, block][-MOST_WAITING:]
        self._unsaved.append(block)
        if len(self._unsaved) >= BATCH:
            await self.save()
        return block

    def fresh(self) -> tuple[Block, ...]:
        """The blocks since this was asked last."""
        blocks, self._fresh = tuple(self._fresh), []
        return blocks

    def put_back(self, blocks: Sequence[Block]) -> None:
        """Give blocks back whose decision could not be saved; they are handed out again."""
        self._fresh = [*blocks, *self._fresh][-MOST_WAITING:]

    async def save(self) -> None:
        """Keep what was sampled for replay; what cannot be kept now is tried again, up to an hour of it."""
        try:
            await self._journal.add_blocks(self._key, self._unsaved)
            self._unsaved = []
        except TidegateError:
            self._unsaved = self._unsaved[-MOST_WAITING:]


def _increments(before: Mapping[int, Traffic], after: Mapping[int, Traffic]) -> dict[int, Traffic]:
    """What each revision's requests did between two readings; a revision that is new counts from nothing."""
    return {revision: now.since(before.get(revision, Traffic())) for revision, now in after.items()}
