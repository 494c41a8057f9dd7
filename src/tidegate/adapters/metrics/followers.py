"""Streams of an engine, one an instance: followed by a task of their own, begun again after they break."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from tidegate.model.errors import MetricError, TidegateError
from tidegate.model.observation import InstanceState, ObservedInstance

AGAIN_S = 1.0

Follow = Callable[[ObservedInstance], Awaitable[None]]
"""Reads an instance's stream until it ends. Raises TidegateError."""


class Followers:
    """A task for each running instance. `broken` says what is wrong with whose stream."""

    def __init__(self, follow: Follow) -> None:
        self._follow = follow
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.broken: dict[str, str] = {}

    def meet(self, instances: Iterable[ObservedInstance]) -> frozenset[str]:
        """Follow these and no others; the ids of those that run."""
        running = {one.id: one for one in instances if one.state is InstanceState.RUNNING}
        for id in [id for id in self._tasks if id not in running]:
            self._tasks.pop(id).cancel()
            self.broken.pop(id, None)
        for id, instance in running.items():
            if id not in self._tasks:
                self._tasks[id] = asyncio.create_task(self._run(instance))
        return frozenset(running)

    def check(self, ids: Iterable[str]) -> None:
        """Raise what is wrong when every one of these streams is broken."""
        errors = [self.broken.get(id, "") for id in ids]
        if errors and all(errors):
            raise MetricError(errors[0])

    async def _run(self, instance: ObservedInstance) -> None:
        while True:
            try:
                await self._follow(instance)
            except TidegateError as error:
                self.broken[instance.id] = error.message
            await asyncio.sleep(AGAIN_S)

    async def close(self) -> None:
        """Let go of the streams."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
