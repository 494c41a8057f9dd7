"""The wall's clock; the memory platform brings its own."""

import asyncio
import time


class WallClock:
    """ports.Clock on the wall."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
