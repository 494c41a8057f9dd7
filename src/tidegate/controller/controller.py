"""The controller: one loop and one sampler for each agent in each environment, under one lease.

While it decides it also listens for heartbeats.

`tidegate serve` and the temporary controller of a command are this same class.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from tidegate.controller.delivery import Around, DeliveryLoop
from tidegate.controller.fleet import FleetLoop, FleetPorts
from tidegate.controller.lease import TTL_S, Lease
from tidegate.controller.loop import AgentLoop, Places, Ports
from tidegate.controller.outbox import Books, Teller
from tidegate.controller.sampler import PERIOD_S
from tidegate.model.delivery import DeliveryKey
from tidegate.model.errors import LeaseLostError, StoreError, TidegateError
from tidegate.model.intent import DeployFleet
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState

LOOK_S = 0.25
SOON_S = 0.01
AFTER_ERROR_S = 1.0
MOST_AFTER_ERROR_S = 30.0
NOTICES_S = 10.0
"""How long a controller that ends waits for its last notices; what is left is told by the next one."""

log = logging.getLogger(__name__)


class Controller:
    """Runs every agent's loop until told to stop or until the lease is lost."""

    def __init__(self, ports: Ports, lease: Lease) -> None:
        self.lease = lease
        self._ports = ports
        self._loops: dict[AgentKey, AgentLoop | FleetLoop] = {}
        self._beginning: set[AgentKey] = set()
        self._stop = asyncio.Event()
        self._asked = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._teller = _teller(ports)
        self._silent: dict[AgentKey, str] = {}
        self._deliveries: dict[DeliveryKey, DeliveryLoop] = {}

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
                if isinstance(loop, AgentLoop):
                    await loop.close()
            if self._teller is not None:
                await self._teller.finish(NOTICES_S)
                silent.set()
                await _end(telling)
            with suppress(TidegateError):
                await self.lease.release()

    async def tidy(self, key: AgentKey) -> None:
        """Wait until nothing is left to do for this agent, or until the controller ends.

        A loop that has saved what the caller has just seen is not settled before it has acted on it.
        """
        for one in self._with_hosts(key):
            if not self._settled(one):
                self._loops[one].nudge()
        while self._tasks and not (key in self._loops and all(map(self._settled, self._with_hosts(key)))):
            if not (key in self._loops or key in self._beginning or await self._ports.store.pending(key)):
                break  # a delivery that never came to its rollout
            await self.news(key, LOOK_S / 2)
        while self._tasks and any(loop.rolling and not self._moving(key) for loop in self._deliveries_of(key)):
            await asyncio.sleep(SOON_S)

    async def news(self, key: AgentKey, seconds: float) -> bool:
        """Wait until something was saved or done about this agent, at most these seconds; whether there was."""
        loop = self._loops.get(key)
        if isinstance(loop, AgentLoop):
            return await loop.news(seconds)
        if loop is None and any(one.agent == key for one in self._deliveries):
            await asyncio.sleep(min(seconds, LOOK_S / 2))
            return False
        await asyncio.sleep(min(seconds, SOON_S) if loop is None else seconds)
        return False

    def _deliveries_of(self, key: AgentKey) -> list[DeliveryLoop]:
        return [loop for one, loop in self._deliveries.items() if one.agent == key.fleet]

    def _moving(self, key: AgentKey) -> bool:
        """Whether a rollout of the agent is under way."""
        loop = self._loops.get(key)
        return loop is not None and loop.state is not None and loop.state.active is not None

    def look(self) -> None:
        """Somebody in this process asked something: hear it now, and not when it is looked for next."""
        self._asked.set()

    def _with_hosts(self, key: AgentKey) -> list[AgentKey]:
        return [one for one in self._loops if key in (one, one.fleet)]

    def _settled(self, key: AgentKey) -> bool:
        """Nothing left to do; a host that cannot be reached is not waited for."""
        state = self._known(key)
        away = key.host != "" and state is not None and state.unreachable_since is not None
        return away or self._loops[key].settled

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
        self._stop = stop
        known = False
        while not stop.is_set():
            with suppress(StoreError):
                keys = () if known else await self._ports.store.keys()
                asked = await self._ports.store.asked()
                for key in (*keys, *asked):
                    if key not in self._loops:
                        self._begin_soon(key)
                known = True
                for key in asked:
                    self._wake(key)
                await self._look_for_deliveries()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._asked.wait()
            self._asked.clear()

    async def _look_for_deliveries(self) -> None:
        """Every delivery that is not over has a loop of its own."""
        pipeline = self._ports.pipeline
        for key in await pipeline.deliveries.open(pipeline.environment) if pipeline is not None else ():
            if pipeline is not None and key not in self._deliveries:
                places = self._ports.places
                around = Around(self._ports.store, self._ports.clock, places.fleets if places else None, self._wake)
                self._deliveries[key] = loop = DeliveryLoop(key, pipeline, around, self.lease)
                self._run(self._deliver(loop))

    async def _deliver(self, loop: DeliveryLoop) -> None:
        """One delivery to its end."""
        try:
            await self._watched(str(loop.key), loop.run, self._stop, loop.forget, lambda: loop.over)
        finally:
            del self._deliveries[loop.key]

    def _wake(self, key: AgentKey) -> None:
        """There is something to do: now, and not when somebody looks next."""
        if key in self._loops:
            self._loops[key].nudge()
        else:
            self._begin_soon(key)

    def _begin_soon(self, key: AgentKey) -> None:
        """Begin a key's loop in a task of its own: finding the way to one host holds nobody up."""
        if key in self._beginning:
            return
        self._beginning.add(key)
        self._run(self._begin(key))

    async def _begin(self, key: AgentKey) -> None:
        try:
            works = await self._works(key)
        except TidegateError as error:
            if self._silent.get(key) != error.message:
                log.warning("%s: %s", key, error.message)
            self._silent[key] = error.message
            await asyncio.sleep(AFTER_ERROR_S)
            return
        finally:
            self._beginning.discard(key)
        for work in works:
            self._run(self._watched(str(key), work, self._stop, self._loops[key].forget))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _works(self, key: AgentKey) -> tuple[Callable[[asyncio.Event], Awaitable[None]], ...]:
        """The loops of a key: a fleet's decides about its hosts, a host's (or the only one's) carries out."""
        places = self._ports.places
        if places is not None and not key.host and await self._is_fleet(key, places):
            store, clock = self._ports.store, self._ports.clock
            fleet = FleetLoop(key, FleetPorts(places.fleets, store, clock, self._known, self._wake), self.lease)
            self._loops[key] = fleet
            return (fleet.run,)
        ports = self._ports if places is None or not key.host else await places.ports(key)
        ports.gateway.fence(self.lease.epoch)
        loop = AgentLoop(key, ports, self.lease)
        loop.decided = lambda: self._told(key)
        self._loops[key] = loop
        return loop.run, self._sample(loop)

    async def _is_fleet(self, key: AgentKey, places: Places) -> bool:
        if await places.fleets.load_fleet(key) is not None:
            return True
        return any(isinstance(intent.action, DeployFleet) for intent in await self._ports.store.pending(key))

    def _known(self, key: AgentKey) -> AgentState | None:
        loop = self._loops.get(key)
        return loop.state if isinstance(loop, AgentLoop) else None

    def _told(self, key: AgentKey) -> None:
        """A rollout moved: a host's fleet and the delivery that asked for it look now."""
        if key.host and key.fleet in self._loops:
            self._loops[key.fleet].nudge()
        for loop in self._deliveries_of(key):
            if loop.rolling:
                loop.nudge()

    async def _watched(
        self,
        name: str,
        work: Callable[[asyncio.Event], Awaitable[None]],
        stop: asyncio.Event,
        forget: Callable[[], None],
        over: Callable[[], bool] = lambda: False,
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
                log.warning("%s: %s", name, error.message)
            except Exception:
                log.exception("%s: a fault of Tidegate's own; going on from the stored state", name)
                forget()
            if over():
                return
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
    fleets = ports.places.fleets if ports.places is not None else None
    return Teller(Books(ports.store, ports.journal, ports.outbox, ports.clock, fleets, ports.audit), ports.notifier)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
