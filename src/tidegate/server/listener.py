"""Where agents are heard: on the address of our own network, and on loopback. Nothing listens wider.

The network may come and go, its address may change, and its port may be held by a controller that is about to end: the
listener looks again and again, says once what keeps it, and listens as soon as it can.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.model.errors import TidegateError
from tidegate.server.agents import agents_app
from tidegate.server.serving import Served, bind

PORT = 4319
LOOPBACK = "127.0.0.1"
LOOK_S = 0.5
STEADY_LOOK_S = 2.0

log = logging.getLogger(__name__)

NetworkAddress = Callable[[], Awaitable[str | None]]
"""The address of our network on this machine; None while there is no network. Raises TidegateError."""


@dataclass
class Listener:
    """Listens while `run` runs. `network` None: only what runs beside it can report.

    `tokens` is called when it begins: commands that only look need no key.
    """

    tokens: Callable[[], Tokens]
    network: NetworkAddress | None = None
    port: int = PORT
    _servers: dict[str, Served] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    async def run(self, registry: Registry, stop: asyncio.Event) -> None:
        """Until told to stop. The registry is open exactly while agents can reach us."""
        app = agents_app(registry, self.tokens())
        address = None
        try:
            while not stop.is_set():
                if self.network is not None:
                    address = await self._network_address(address)
                wanted = {LOOPBACK} | ({address} if address else set())
                await self._serve(app, wanted)
                heard = LOOPBACK in self._servers if self.network is None else address in self._servers
                registry.open() if heard else registry.shut()
                steady = heard and wanted == set(self._servers)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), STEADY_LOOK_S if steady else LOOK_S)
        finally:
            registry.shut()
            for host in list(self._servers):
                await self._servers.pop(host).close()

    async def _network_address(self, known: str | None) -> str | None:
        """An engine that does not answer takes no address away."""
        assert self.network is not None
        try:
            return await self.network()
        except TidegateError:
            return known

    async def _serve(self, app: object, wanted: set[str]) -> None:
        for host in [host for host, served in self._servers.items() if host not in wanted or served.task.done()]:
            await self._servers.pop(host).close()
        for host in sorted(wanted - set(self._servers)):
            try:
                self._servers[host] = Served(app, bind(host, self.port))
            except OSError as error:
                self._tell(host, error)
            else:
                self._told.pop(host, None)
                log.info("listening for heartbeats on http://%s:%d", host, self.port)

    def _tell(self, host: str, error: OSError) -> None:
        if error.errno == errno.EADDRNOTAVAIL:
            why = "the address is not one of this machine; agents that report by it are not heard"
        elif error.errno == errno.EADDRINUSE:
            why = "another program has the port; trying again"
        else:
            why = error.strerror or str(error)
        if self._told.get(host) != why:
            self._told[host] = why
            log.warning("cannot listen for heartbeats on %s:%d: %s", host, self.port, why)
