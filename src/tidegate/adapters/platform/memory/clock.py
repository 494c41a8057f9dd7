"""The world's clock: sleeping makes time pass in the world."""

from tidegate.adapters.platform.memory.world import World


class MemoryClock:
    """ports.Clock over a World."""

    def __init__(self, world: World) -> None:
        self.world = world

    def now(self) -> float:
        """The world's unix seconds."""
        return self.world.now

    async def sleep(self, seconds: float) -> None:
        """Let the world's time pass."""
        self.world.advance(seconds)
