"""Keeps the state from growing for ever: old measurements are forgotten, those of the last rollout are not."""

import asyncio
import logging
from contextlib import suppress

from tidegate.controller.loop import Ports
from tidegate.model.errors import StoreError
from tidegate.ports import Journal, Store

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


async def keep_trimmed(ports: Ports, keep_s: float, stop: asyncio.Event) -> None:
    """Every hour, until told to stop. What cannot be written now is tried again."""
    while not stop.is_set():
        with suppress(StoreError):
            if count := await trim(ports.store, ports.journal, ports.clock.now(), keep_s):
                log.info("forgot %d measurement blocks older than %g days", count, keep_s / DAY_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)
