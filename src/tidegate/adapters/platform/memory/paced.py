"""A world whose time passes as it does on the wall: for an environment with `platform: memory`."""

import asyncio
import time

from tidegate.adapters.platform.memory.world import World


class PacedClock:
    """ports.Clock over a World that keeps pace with the wall."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.now = time.time()

    def now(self) -> float:
        """The world's unix seconds, after letting it catch up."""
        behind = time.time() - self._world.now
        if behind > 0:
            self._world.advance(behind)
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        """Wait on the wall."""
        await asyncio.sleep(seconds)
        self.now()
