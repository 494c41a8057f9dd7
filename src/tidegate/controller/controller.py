"""The controller: one loop and one sampler for each agent in each environment, under one lease.

While it decides it also listens for heartbeats.

`tidegate serve` and the temporary controller of a command are this same class.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from tidegate.controller.lease import TTL_S, Lease
from tidegate.controller.loop import AgentLoop, Ports
from tidegate.controller.outbox import Books, Teller
from tidegate.controller.sampler import PERIOD_S
from tidegate.model.errors import LeaseLostError, StoreError, TidegateError
from tidegate.model.release import AgentKey

LOOK_S = 0.25
SOON_S = 0.01
AFTER_ERROR_S = 1.0
MOST_AFTER_ERROR_S = 30.0
NOTICES_S = 5.0
"""How long a controller that ends waits for its last notices; what is left is told by the next one."""

log = logging.getLogger(__name__)


class Controller:
    """Runs every agent's loop until told to stop or until the lease is lost."""

    def __init__(self, ports: Ports, lease: Lease) -> None:
        self.lease = lease
        self._ports = ports
        self._loops: dict[AgentKey, AgentLoop] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._teller = _teller(ports)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Raises LeaseLostError when another controller took over."""
        keeper = asyncio.create_task(self._keep_lease(stop))
        looker = asyncio.create_task(self._look_for_work(stop))
        heartbeats = self._ports.heartbeats
        hearing = [asyncio.create_task(heartbeats.run(stop))] if heartbeats else []
        silent = asyncio.Event()
        telling = [asyncio.create_task(self._teller.run(silent))] if self._teller else []
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({keeper, looker, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in (keeper, looker):
                if task.done() and task.exception():
                    raise task.exception() or LeaseLostError("the lease was lost")
        finally:
            stop.set()
            await _end({keeper, looker, stopped, *hearing, *self._tasks})
            for loop in self._loops.values():
                await loop.sampler.save()
                await loop.metering.end()
            if self._teller is not None:
                await self._teller.finish(NOTICES_S)
                silent.set()
                await _end(telling)
            with suppress(TidegateError):
                await self.lease.release()

    async def tidy(self, key: AgentKey) -> None:
        """Wait until nothing is left to do for this agent, or until the controller ends.

        What was settled before is not: the turn that saved what the caller has just seen may still be acting on it.
        """
        if key in self._loops:
            self._loops[key].settled = False
            self._loops[key].nudge()
        while self._tasks and not (key in self._loops and self._loops[key].settled):
            await self.news(key, LOOK_S / 2)

    async def news(self, key: AgentKey, seconds: float) -> bool:
        """Wait until something was saved or done about this agent, at most these seconds; whether there was."""
        if key in self._loops:
            return await self._loops[key].news(seconds)
        await asyncio.sleep(min(seconds, SOON_S))
        return False

    async def _keep_lease(self, stop: asyncio.Event) -> None:
        """Renew well before the lease ends; a store that cannot be written is asked again and again."""
        while not stop.is_set():
            await asyncio.sleep(TTL_S / 4)
            try:
                await self.lease.renew()
            except LeaseLostError:
                raise
            except StoreError as error:
                held = "only traffic goes back to stable until it can be" if self.lease.expired else "trying again"
                log.warning("the lease could not be renewed, %s: %s", held, error.message)

    async def _look_for_work(self, stop: asyncio.Event) -> None:
        """Start a loop for every agent that there is, and wake the loops that somebody asked something of.

        An agent that is new was asked something, so those that there are need to be read only once.
        """
        known = False
        while not stop.is_set():
            with suppress(StoreError):
                keys = () if known else await self._ports.store.keys()
                asked = await self._ports.store.asked()
                for key in (*keys, *asked):
                    if key not in self._loops:
                        self._begin(key, stop)
                known = True
                for key in asked:
                    self._loops[key].nudge()
            await asyncio.sleep(LOOK_S)

    def _begin(self, key: AgentKey, stop: asyncio.Event) -> None:
        loop = AgentLoop(key, self._ports, self.lease)
        self._loops[key] = loop
        for work in (loop.run, self._sample(loop)):
            task = asyncio.create_task(self._watched(key, work, stop))
            self._tasks.add(task)

    async def _watched(
        self, key: AgentKey, work: Callable[[asyncio.Event], Awaitable[None]], stop: asyncio.Event
    ) -> None:
        """One agent's trouble never ends the others': log it, wait, go on from the stored state."""
        pause = AFTER_ERROR_S
        while not stop.is_set():
            try:
                await work(stop)
            except LeaseLostError:
                stop.set()
                return
            except TidegateError as error:
                log.warning("%s: %s", key, error.message)
            except Exception:
                log.exception("%s: a fault of Tidegate's own; going on from the stored state", key)
                self._loops[key].forget()
            await asyncio.sleep(pause)
            pause = min(pause * 2, MOST_AFTER_ERROR_S)

    def _sample(self, loop: AgentLoop) -> Callable[[asyncio.Event], Awaitable[None]]:
        async def sampling(stop: asyncio.Event) -> None:
            clock = self._ports.clock
            due = clock.now()
            while not stop.is_set():
                if loop.measures:
                    await loop.sample()
                due = max(due + PERIOD_S, clock.now())
                await clock.sleep(due - clock.now() if due > clock.now() else PERIOD_S)

        return sampling


def _teller(ports: Ports) -> Teller | None:
    if ports.outbox is None or ports.notifier is None:
        return None
    return Teller(Books(ports.store, ports.journal, ports.outbox, ports.clock), ports.notifier)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
