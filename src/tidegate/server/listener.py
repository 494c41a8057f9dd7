"""Where agents are heard: on the address of our own network, and on loopback. Wider only where that was asked for.

The network may come and go, its address may change, and its port may be held by a controller that is about to end: the
listener looks again and again, says once what keeps it, and listens as soon as it can. What answers is loaded when the
first agent connects: most agents say nothing of themselves, and a command is over sooner without it.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.model.errors import TidegateError
from tidegate.server.load import Load
from tidegate.server.sockets import LateServer, Server, Tls, bind

PORTS = (4319, 4320)
"""The heartbeat's port, and the one that OpAMP's clients look for."""

LOOPBACK = "127.0.0.1"
LOOK_S = 0.5
STEADY_LOOK_S = 2.0

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from tidegate.control.opamp.desk import Desk

Place = tuple[str, int]
"""Address and port."""


log = logging.getLogger(__name__)

NetworkAddress = Callable[[], Awaitable[str | None]]
"""The address of our network on this machine; None while there is no network. Raises TidegateError."""


def plain_desk(registry: Registry, tokens: Tokens) -> "Desk":
    """OpAMP with nothing that is wanted of anybody."""
    from tidegate.control.opamp.desk import Desk

    return Desk(registry, tokens)


@dataclass
class Listener:
    """Listens while `run` runs. `network` None: only what runs beside it can report.

    `tokens` is called when it begins, `desk` with the first OpAMP message: commands that only look need neither. Every
    route is there on every port; OpAMP's clients look for theirs on a port of its own. `others`: further addresses,
    with TLS where there are files.
    """

    tokens: Callable[[], Tokens]
    network: NetworkAddress | None = None
    ports: tuple[int, ...] = PORTS
    desk: Callable[[Registry, Tokens], "Desk"] = plain_desk
    others: tuple[str, ...] = ()
    tls: Tls | None = None
    _servers: dict[Place, LateServer] = field(default_factory=dict)
    _told: dict[Place, str] = field(default_factory=dict)
    _app: "asyncio.Task[Starlette] | None" = None

    async def run(self, registry: Registry, stop: asyncio.Event) -> None:
        """Until told to stop. The registry is open exactly while agents can reach us."""
        if self.others and self.tls is None:
            log.warning("agents' tokens cross the network in the clear to %s", ", ".join(self.others))
        tokens, load = self.tokens(), Load(registry.deafened)
        measuring, self._app = asyncio.create_task(load.run()), None

        def make() -> "Starlette":
            return _application(registry, tokens, load, lambda: self.desk(registry, tokens))

        address, sure = None, self.network is None
        try:
            while not stop.is_set():
                if self.network is not None:
                    address, sure = await self._network_address(address)
                hosts = {LOOPBACK, *self.others} | ({address} if address else set())
                wanted = {(host, port) for host in hosts for port in self.ports}
                await self._serve(make, wanted)
                # Where there is no network of ours, nobody reports by it. Where nobody can say, somebody may try to.
                heard = (address or LOOPBACK, self.ports[0]) in self._servers and (sure or address is not None)
                registry.open() if heard else registry.shut()
                steady = heard and wanted == set(self._servers)
                with suppress(TimeoutError):
                    async with asyncio.timeout(STEADY_LOOK_S if steady else LOOK_S):
                        await stop.wait()
        finally:
            measuring.cancel()
            registry.shut()
            for place in list(self._servers):
                await self._servers.pop(place).close()

    async def _network_address(self, known: str | None) -> tuple[str | None, bool]:
        """The address, and whether that is sure. An engine that does not answer takes none away."""
        assert self.network is not None
        try:
            return await self.network(), True
        except TidegateError:
            return known, False

    async def _serve(self, make: "Callable[[], Starlette]", wanted: set[Place]) -> None:
        for place in [place for place, served in self._servers.items() if place not in wanted or served.task.done()]:
            await self._servers.pop(place).close()
        for host, port in sorted(wanted - set(self._servers)):
            try:
                tls = self.tls if host in self.others else None
                self._servers[host, port] = LateServer(bind(host, port), partial(self._server, make, tls))
            except OSError as error:
                self._tell((host, port), error)
            else:
                self._told.pop((host, port), None)
                log.info("listening for heartbeats on %s://%s:%d", "https" if tls else "http", host, port)

    async def _server(self, make: "Callable[[], Starlette]", tls: Tls | None, bound: socket.socket) -> Server:
        """One application behind every address, made off the loop: decisions do not wait for it."""
        if self._app is None:
            self._app = asyncio.create_task(asyncio.to_thread(make))
        app = await asyncio.shield(self._app)
        from tidegate.server.agent_connections import AgentConnection
        from tidegate.server.agents import MOST_OPAMP_BYTES
        from tidegate.server.serving import Served

        return Served(app, bound, AgentConnection, tls, most_message=MOST_OPAMP_BYTES)

    def _tell(self, place: Place, error: OSError) -> None:
        if error.errno == errno.EADDRNOTAVAIL:
            why = "the address is not one of this machine; agents that report by it are not heard"
        elif error.errno == errno.EADDRINUSE:
            why = "another program has the port; trying again"
        else:
            why = error.strerror or str(error)
        if self._told.get(place) != why:
            self._told[place] = why
            log.warning("cannot listen for heartbeats on %s:%d: %s", *place, why)


def _application(registry: Registry, tokens: Tokens, load: Load, desk: "Callable[[], Desk]") -> "Starlette":
    """Everything that answering agents takes, loaded here and nowhere before."""
    from tidegate.server import serving  # noqa: F401 - loaded off the loop as well
    from tidegate.server.agent_connections import AgentConnection, room_for_connections
    from tidegate.server.agents import agents_app

    AgentConnection.most = room_for_connections()
    return agents_app(registry, tokens, load, desk)
