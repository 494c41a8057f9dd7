"""Tells every end to whoever should know: at least once, from the event log, by a position for each receiver.

One task a receiver, apart from every rollout's loop: an end point that is dead delays nobody. What cannot be delivered
is tried again with a growing pause until the receiver's deadline is over; then the log says that it was given up.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from tidegate.core import notices
from tidegate.model.errors import NoticeError, StoreError, TidegateError
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetState
from tidegate.model.policy import Endpoint
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import Audit, Clock, Fleets, Journal, Notifier, Outbox, Store

LOOK_S = 1.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
BATCH = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Books:
    """What the outbox reads and writes."""

    store: Store
    journal: Journal
    outbox: Outbox
    clock: Clock
    fleets: Fleets | None = None
    audit: Audit | None = None


class Teller:
    """Reads the log and keeps one courier a receiver."""

    def __init__(self, books: Books, notifier: Notifier) -> None:
        self._books = books
        self._notifier = notifier
        self._couriers: dict[str, Courier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen: int | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        try:
            while not stop.is_set():
                with suppress(StoreError):
                    await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await stop.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def look(self) -> None:
        """Wake the couriers of every agent that something happened to; of all of them the first time."""
        changed = await self._changed()
        ours = set(await self._books.store.keys()) if changed else ()
        for key in changed:
            if key not in ours:
                continue
            state = await self._state(key)
            if state is not None:
                self._meet(state)

    async def _state(self, key: AgentKey) -> AgentState | FleetState | None:
        """Of a fleet its own: its hosts are told of apart."""
        fleets = self._books.fleets
        fleet = await fleets.load_fleet(key) if fleets is not None and not key.host else None
        return fleet or await self._books.store.load(key)

    async def _changed(self) -> Collection[AgentKey]:
        if self._seen is None:
            self._seen = 0
            while batch := await self._books.journal.events(None, after=self._seen):
                self._seen = batch[-1][0]
            return await self._books.store.keys()
        batch = await self._books.journal.events(None, after=self._seen)
        if batch:
            self._seen = batch[-1][0]
        return dict.fromkeys(event.key for _, event in batch)

    def _meet(self, state: AgentState | FleetState) -> None:
        for endpoint in state.endpoints:
            name = f"{state.key}/{endpoint.name}"
            courier = self._couriers.get(name)
            if courier is None or courier.endpoint != endpoint:
                if name in self._tasks:
                    self._tasks.pop(name).cancel()
                courier = Courier(name, state.key, endpoint, state.told_since, self._books, self._notifier)
                self._couriers[name] = courier
                self._tasks[name] = asyncio.create_task(courier.run())
            courier.wake()

    async def finish(self, timeout_s: float) -> None:
        """Give what is there one chance to be delivered; what is left is told by the next controller."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(timeout_s):
                await self.look()
                await asyncio.gather(*(courier.idle.wait() for courier in self._couriers.values()))


class Courier:
    """One receiver's notices, in order."""

    def __init__(
        self, name: str, key: AgentKey, endpoint: Endpoint, since: float, books: Books, notifier: Notifier
    ) -> None:
        self.endpoint = endpoint
        self.idle = asyncio.Event()
        self._name = name
        self._key = key
        self._since = since
        self._books = books
        self._notifier = notifier
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something to tell."""
        self.idle.clear()
        self._woken.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._tell_all()
            except StoreError as error:
                log.warning("notices for %s: %s", self._name, error.message)
                await asyncio.sleep(LOOK_S)
                self._woken.set()
                continue
            if not self._woken.is_set():
                self.idle.set()

    async def _tell_all(self) -> None:
        position = await self._books.outbox.position(self._name) or 0
        while batch := await self._books.journal.events(self._key, after=position, limit=BATCH):
            for sequence, event in batch:
                if notices.concerns(self.endpoint, event, self._since):
                    await self._tell(sequence, await self._witnessed(event))
                    await self._books.outbox.advance(self._name, sequence)
            position = batch[-1][0]
            await self._books.outbox.advance(self._name, position)

    async def _witnessed(self, event: Event) -> Event:
        """With the audit log's head: once it is out, nobody who owns the database can rewrite what came before it."""
        if self._books.audit is None:
            return event
        return replace(event, data={**event.data, "audit_head": str(await self._books.audit.head())})

    async def _tell(self, sequence: int, event: Event) -> None:
        """Until it is told, or its deadline is over; at least one attempt, however late we are."""
        clock, attempts, pause = self._books.clock, 0, FIRST_PAUSE_S
        while True:
            attempts += 1
            try:
                await self._notifier.deliver(self.endpoint, sequence, event)
                return
            except TidegateError as error:
                gone = isinstance(error, NoticeError) and error.gone
                if gone or clock.now() + pause - event.at > self.endpoint.deadline_s:
                    await self._give_up(event, attempts, error.message)
                    return
                log.warning("notice for %s, attempt %d: %s", self._name, attempts, error.message)
            except Exception as error:
                # Whatever it is, it must not keep the next notice from being told; its text may hold anything.
                await self._give_up(event, attempts, f"a fault of Tidegate's own ({type(error).__name__})")
                return
            await clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _give_up(self, event: Event, attempts: int, why: str) -> None:
        text = f"notice not delivered after {attempts} attempts: {why}"
        data = {"receiver": self.endpoint.name, "end": event.data.get("end")}
        told = Event(self._books.clock.now(), self._key, EventKind.OPERATION_FAILED, text, event.revision, data)
        await self._books.journal.append([told])
