"""The engine's events, as a reason to look again. Events only wake the loop; what is true is always observed.

A link that goes down leaves the stream silent without an error, so between events the engine is asked for its version:
no answer means that the stream is dead as well, and everybody who waits is woken to find that out.
"""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiodocker.events import DockerEvents

from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.errors import TidegateError

HEARTBEAT_S = 3.0
HEARTBEAT_DEADLINE_S = 2.0
FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 2.0

ACTIONS = (
    "create", "start", "restart", "stop", "die", "kill", "oom", "destroy", "rename", "pause", "unpause",
    "health_status",
)  # fmt: skip
FILTERS = json.dumps({"type": ["container"], "event": list(ACTIONS)})


@dataclass(frozen=True)
class ContainerEvent:
    """Something happened to a container; `attributes` are its name, image and labels."""

    action: str
    id: str
    attributes: Mapping[str, str]


class EventStream:
    """Follows one engine. `on_link` is called when the link came or went."""

    def __init__(self, engine: Engine, on_event: Callable[[ContainerEvent], None], on_link: Callable[[], None]) -> None:
        self._engine = engine
        self._on_event = on_event
        self._on_link = on_link
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, if that did not happen yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="docker events")

    async def close(self) -> None:
        """Stop following."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            with suppress(TidegateError):
                if await self._follow():
                    retry_s = FIRST_RETRY_S
            self._on_link()
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LONGEST_RETRY_S)

    async def _follow(self) -> bool:
        """Follow until the stream ends or the engine falls silent; whether it was ever connected."""
        connected = False
        async with self._engine.call("events", math.inf) as docker:
            events = DockerEvents(docker)  # type: ignore[no-untyped-call]
            subscriber = events.subscribe(create_task=False)  # type: ignore[no-untyped-call]
            stream = asyncio.create_task(events.run(filters=FILTERS))
            try:
                await self._beat()
                connected = True
                self._on_link()  # events of the time before were missed
                while (event := await self._next(subscriber)) is not None:
                    actor = event.get("Actor") or {}
                    attributes = actor.get("Attributes") or {}
                    self._on_event(ContainerEvent(str(event.get("Action")), str(actor.get("ID")), attributes))
            except TidegateError:
                return connected
            finally:
                stream.cancel()
                await asyncio.gather(stream, return_exceptions=True)
        return connected

    async def _next(self, subscriber: Any) -> Mapping[str, Any] | None:
        """The next event, or None when the stream ended. Raises UnreachableError when the engine fell silent."""
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    event: Mapping[str, Any] | None = await subscriber.get()
                return event
            except TimeoutError:
                await self._beat()

    async def _beat(self) -> None:
        async with self._engine.call("heartbeat", HEARTBEAT_DEADLINE_S) as docker:
            await docker.version()
