"""What a command does: write an intent, then see it through, deciding itself when no other controller does.

A command without a server is a temporary controller: it takes the lease when it is free. When another controller holds
it, the command watches; when that one dies, the command takes over.
"""

import asyncio
import math
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.controller.loop import Ports
from tidegate.model.errors import ConflictError, LeaseLostError, StoreError
from tidegate.model.event import Event
from tidegate.model.intent import Action, Answer, Intent
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState
from tidegate.ports import LeaseStore

LOOK_S = 0.1
LOOK_CALM_S = 1.0
"""While we decide ourselves, our own controller tells what happens; looking is for the rest."""
LOOK_WHOLE_S = 1.0
LOOK_WHOLE_CALM_S = 10.0
"""Every change of phase or weight is an event; the state is read whole when there was one, and this often anyway."""
TRY_AGAIN_S = 1.0
TIDY_S = 15.0
"""How long to clean up after the end, beside the time that instances have to stop."""


@dataclass(frozen=True)
class Snapshot:
    """What there is to show: the state, what was logged since the last snapshot, and whether we decide ourselves."""

    state: AgentState | None
    events: tuple[Event, ...]
    deciding: bool


Watcher = Callable[[Snapshot], None]


@dataclass
class Session:
    """One command's dealings with one agent in one environment."""

    key: AgentKey
    ports: Ports
    leases: LeaseStore
    holder: str = field(default_factory=lambda: f"command-{uuid.uuid4().hex[:8]}")
    _seen: int = 0
    _state: AgentState | None = None
    _read_at: float = -math.inf
    _deciding: "_Deciding | None" = None

    async def ask(self, action: Action, by: str, reason: str = "") -> Intent:
        """Write an intent for whoever decides."""
        intent = Intent(uuid.uuid4().hex, self.key, action, by, self.ports.clock.now(), reason)
        await self.ports.store.submit(intent)
        if self._deciding is not None:
            self._deciding.look()
        return intent

    async def skip_history(self) -> None:
        """Show only what happens from here on."""
        while batch := await self.ports.journal.events(self.key, after=self._seen):
            self._seen = batch[-1][0]

    async def see_through(
        self, until: Callable[[AgentState | None], bool], watch: Watcher, timeout_s: float | None = None
    ) -> AgentState | None:
        """Run (or watch) until the condition holds. Raises TimeoutError after `timeout_s`."""
        deciding = self._deciding = _Deciding(self.key)
        next_try = lively = 0.0
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    now = self.ports.clock.now()
                    if not deciding.here and now >= next_try:
                        await deciding.try_to_begin(self)
                        next_try = now + TRY_AGAIN_S
                    snapshot = await self.snapshot(deciding.here)
                    watch(snapshot)
                    if until(snapshot.state):
                        return snapshot.state
                    if snapshot.events or not deciding.here:
                        lively = now + LOOK_WHOLE_S
                    if await deciding.news(LOOK_S if now < lively else LOOK_CALM_S):
                        self._read_at = -math.inf
        finally:
            await deciding.end(await self._grace())

    async def snapshot(self, deciding: bool = False) -> Snapshot:
        """The state as stored, and the events since the last snapshot."""
        batch = await self.ports.journal.events(self.key, after=self._seen)
        if batch:
            self._seen = batch[-1][0]
        now = time.monotonic()
        if batch or now - self._read_at >= (LOOK_WHOLE_CALM_S if deciding else LOOK_WHOLE_S):
            self._state, self._read_at = await self.ports.store.load(self.key), now
        return Snapshot(self._state, tuple(event for _, event in batch), deciding)

    async def _grace(self) -> float:
        """How long what is going may take to stop, in seconds."""
        with suppress(StoreError):
            state = await self.ports.store.load(self.key)
            revisions = (state.stable, state.rollout.candidate if state.rollout else None) if state else ()
            return max((one.workload.stop_grace_s for one in revisions if one), default=0.0)
        return 0.0

    async def answer(self, intent: Intent) -> Answer | None:
        """What became of an intent."""
        return await self.ports.store.answer(intent.id)


class _Deciding:
    """Our own controller, while we have the lease."""

    def __init__(self, key: AgentKey) -> None:
        self._key = key
        self._stop = asyncio.Event()
        self._controller: Controller | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def here(self) -> bool:
        """Whether we decide."""
        return self._task is not None and not self._task.done()

    async def try_to_begin(self, session: Session) -> None:
        """Take the lease when it is free."""
        with suppress(ConflictError):
            lease = await Lease.take(session.leases, session.ports.clock, session.holder)
            session.ports.gateway.fence(lease.epoch)
            self._stop = asyncio.Event()
            self._controller = Controller(session.ports, lease)
            self._task = asyncio.create_task(self._controller.run(self._stop))

    def look(self) -> None:
        """Have our controller hear what was just asked."""
        if self._controller is not None:
            self._controller.look()

    async def news(self, seconds: float) -> bool:
        """Wait until our controller saved or did something, at most these seconds; whether it did."""
        if self.here and self._controller is not None:
            return await self._controller.news(self._key, seconds)
        await asyncio.sleep(seconds)
        return False

    async def end(self, grace_s: float) -> None:
        """Clean up what is left over, for a moment; then let go. That somebody else took the lease is no error."""
        if self._task is None or self._controller is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(TIDY_S + grace_s):
                await self._controller.tidy(self._key)
        self._stop.set()
        with suppress(LeaseLostError, asyncio.CancelledError):
            await self._task
