"""The control centre as the controller knows it: hears, keeps, notices, answers who was heard (ports.Heartbeats)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.model.errors import TidegateError
from tidegate.model.heartbeat import Listening, Pulse
from tidegate.model.release import AgentKey
from tidegate.ports import Journal

if TYPE_CHECKING:
    from tidegate.control.opamp.desk import Desk

LOOK_S = 0.25
"""A missed heartbeat is noticed this long after its deadline."""

RETRY_S = 1.0
TURN_S = 1.0
SAVE_S = 2.0
TEND_S = 10.0
FORGET_EVERY_S = 3600.0

Listen = Callable[[Registry, asyncio.Event], Awaitable[None]]
"""What brings heartbeats to the registry until it is told to stop; it opens and shuts the registry."""

log = logging.getLogger(__name__)


class Centre:
    """ports.Heartbeats over a registry and whatever listens for it. What it notices goes to the journal."""

    def __init__(self, registry: Registry, listen: Listen, journal: Journal | None = None) -> None:
        self.registry = registry
        self._listen = listen
        self._journal = journal
        self._desk: Desk | None = None

    def open_desk(self, registry: Registry, tokens: Tokens) -> "Desk":
        """OpAMP's conversations; they outlast a listener that begins again."""
        from tidegate.control.opamp.desk import Desk, OpampOrders

        if self._desk is None:
            orders = self.registry.orders
            self._desk = Desk(registry, tokens, OpampOrders(orders) if orders is not None else None)
        return self._desk

    def pulses_of(self, key: AgentKey) -> Mapping[str, Pulse]:
        """What is known of each instance that ever reported, by its name."""
        return self.registry.pulses_of(key)

    def listening(self) -> Listening:
        """Since when somebody hears without a break, as of now."""
        return self.registry.listening()

    async def run(self, stop: asyncio.Event) -> None:
        """Hear, and keep what was heard, until told to stop; then save once more."""
        with suppress(TidegateError):
            await self.registry.load()
        ears = asyncio.create_task(self._hear(stop))
        try:
            await self._keep(stop)
        finally:
            ears.cancel()
            with suppress(asyncio.CancelledError):
                await ears
            self.registry.shut()
            await self.registry.save()

    async def _hear(self, stop: asyncio.Event) -> None:
        """Trouble in the ears is no end of the controller: begin again."""
        told = ""
        while not stop.is_set():
            try:
                await self._listen(self.registry, stop)
            except TidegateError as error:
                if error.message != told:
                    told = error.message
                    log.warning("cannot listen for heartbeats: %s (%s)", error.message, error.hint)
            except Exception:
                log.exception("a fault while listening for heartbeats; beginning again")
            self.registry.shut()
            await asyncio.sleep(RETRY_S)

    async def _keep(self, stop: asyncio.Event) -> None:
        """Look at the clock often, save in batches, forget now and then."""
        loop = asyncio.get_running_loop()
        turn_at, save_at, tend_at, forget_at = (loop.time() + seconds for seconds in (0.0, SAVE_S, TEND_S, 0.0))
        while not stop.is_set():
            self.registry.look()
            await self._tell()
            if loop.time() >= save_at:
                await self.registry.save()
                save_at = loop.time() + SAVE_S
            if loop.time() >= turn_at:
                await self._ask()
                turn_at = loop.time() + TURN_S
            if loop.time() >= tend_at and self._desk is not None:
                self._desk.tend()
                tend_at = loop.time() + TEND_S
            if loop.time() >= forget_at:
                await self._forget()
                forget_at = loop.time() + FORGET_EVERY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await stop.wait()

    async def _ask(self) -> None:
        """What agents are wanted to do: with their next message, or at once where their connection lasts."""
        orders = self.registry.orders
        if orders is not None and await orders.turn(self.registry.listening()) and self._desk is not None:
            self._desk.push()

    async def _forget(self) -> None:
        with suppress(TidegateError):
            await self.registry.forget()
        if self._desk is not None:
            self._desk.forget()

    async def _tell(self) -> None:
        """What was noticed, into the journal; what cannot be kept now is tried again."""
        events = self.registry.attendance.take_events()
        if self._journal is None or not events:
            return
        try:
            await self._journal.append(events)
        except TidegateError:
            self.registry.attendance.put_back(events)
