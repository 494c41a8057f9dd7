"""`tidegate serve`: decide while the lease is ours, wait while it is another's, for as long as the process runs."""

import asyncio
import logging
from contextlib import suppress

from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.controller.loop import Ports
from tidegate.model.errors import ConflictError, LeaseLostError, StoreError
from tidegate.model.event import EventKind
from tidegate.ports import LeaseStore

TRY_AGAIN_S = 1.0
LOOK_S = 0.5

log = logging.getLogger(__name__)

LEVELS = {
    EventKind.OPERATION: logging.DEBUG,
    EventKind.OPERATION_FAILED: logging.WARNING,
    EventKind.UNREACHABLE: logging.WARNING,
    EventKind.HEARTBEAT: logging.WARNING,
}


class Standby:
    """One process's part in deciding. `run` ends when `stop` is set, with the lease given back."""

    def __init__(self, ports: Ports, leases: LeaseStore, holder: str) -> None:
        self._ports = ports
        self._leases = leases
        self._holder = holder
        self._waiting = False
        self.deciding = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. A store that cannot be reached is tried again."""
        while not stop.is_set():
            try:
                lease = await Lease.take(self._leases, self._ports.clock, self._holder)
            except ConflictError:
                self._say_waiting()
            except StoreError as error:
                log.warning("the lease cannot be asked for: %s", error.message)
            else:
                await self._decide(lease, stop)
                continue
            await _pause(stop, TRY_AGAIN_S)

    def _say_waiting(self) -> None:
        if not self._waiting:
            log.info("standing by: another controller decides; taking over when its lease ends")
        self._waiting = True

    async def _decide(self, lease: Lease, stop: asyncio.Event) -> None:
        """Decide until told to stop, or until the lease is lost."""
        self._waiting = False
        log.info("deciding now, as %s with epoch %d", self._holder, lease.epoch)
        self._ports.gateway.fence(lease.epoch)
        over = asyncio.Event()
        passing = asyncio.create_task(_pass_on(stop, over))
        telling = asyncio.create_task(self._tell())
        self.deciding = True
        try:
            await Controller(self._ports, lease).run(over)
        except LeaseLostError as error:
            log.warning("%s; standing by", error.message)
        finally:
            self.deciding = False
            for task in (passing, telling):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _tell(self) -> None:
        """Every event of this environment from now on, a line each."""
        seen: int | None = None
        while True:
            with suppress(StoreError):
                seen = await self._tell_since(seen)
            await asyncio.sleep(LOOK_S)

    async def _tell_since(self, seen: int | None) -> int:
        after = seen or 0
        while batch := await self._ports.journal.events(None, after=after):
            after = batch[-1][0]
            ours = set(await self._ports.store.keys())
            for _, event in batch if seen is not None else ():
                if event.key not in ours:  # another environment's: its own controller tells it
                    continue
                about = {"agent": str(event.key), "kind": event.kind.value, "revision": event.revision}
                level = LEVELS.get(event.kind, logging.INFO)
                log.log(level, "%s", event.because.split("\n", 1)[0], extra={"fields": about})
        return after


async def _pass_on(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
