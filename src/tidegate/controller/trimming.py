"""Keeps the state from growing for ever: old measurements are forgotten, those of the last rollout are not."""

import asyncio
import logging
from contextlib import suppress

from tidegate.model.errors import StoreError
from tidegate.ports import Clock, Journal, Store

DAY_S = 86400.0
EVERY_S = 3600.0
BEFORE_S = 900.0
"""What a rollout looks at of the time before it, in seconds: kept with it."""

log = logging.getLogger(__name__)


async def trim(store: Store, journal: Journal, now: float, keep_s: float) -> int:
    """Forget blocks older than `keep_s` seconds, but none of an agent's last rollout; how many. Raises StoreError."""
    count = 0
    for key in await store.keys():
        state = await store.load(key)
        before = now - keep_s
        if state is not None and state.rollout is not None:
            before = min(before, state.rollout.started_at - BEFORE_S)
        count += await journal.trim(key, before)
    return count


async def keep_trimmed(store: Store, journal: Journal, clock: Clock, keep_s: float) -> None:
    """Every hour, until cancelled. What cannot be written now is tried again."""
    while True:
        with suppress(StoreError):
            if count := await trim(store, journal, clock.now(), keep_s):
                log.info("forgot %d measurement blocks older than %g days", count, keep_s / DAY_S)
        await asyncio.sleep(EVERY_S)
