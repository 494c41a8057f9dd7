"""Where agents are heard: on the address of our own network, and on loopback. Nothing listens wider.

The network may come and go, its address may change, and its port may be held by a controller that is about to end: the
listener looks again and again, says once what keeps it, and listens as soon as it can.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uvicorn

from tidegate.control.registry import Registry
from tidegate.control.tokens import Tokens
from tidegate.model.errors import TidegateError
from tidegate.server.agent_connections import AgentConnection, room_for_connections
from tidegate.server.agents import MOST_OPAMP_BYTES as MOST_BYTES
from tidegate.server.agents import agents_app
from tidegate.server.load import Load

PORTS = (4319, 4320)
"""The heartbeat's port, and the one that OpAMP's clients look for."""

LOOPBACK = "127.0.0.1"
LOOK_S = 0.5
STEADY_LOOK_S = 2.0
END_S = 2.0
BACKLOG = 4096
KEEP_S = 75
"""A connection is kept for the next heartbeat: twice the usual interval, and then some."""


if TYPE_CHECKING:
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
    route is there on every port; OpAMP's clients look for theirs on a port of its own. `others`: further addresses.
    """

    tokens: Callable[[], Tokens]
    network: NetworkAddress | None = None
    ports: tuple[int, ...] = PORTS
    desk: Callable[[Registry, Tokens], "Desk"] = plain_desk
    others: tuple[str, ...] = ()
    _servers: dict[Place, "_Served"] = field(default_factory=dict)
    _told: dict[Place, str] = field(default_factory=dict)

    async def run(self, registry: Registry, stop: asyncio.Event) -> None:
        """Until told to stop. The registry is open exactly while agents can reach us."""
        tokens, load = self.tokens(), Load(registry.deafened)
        app = agents_app(registry, tokens, load, lambda: self.desk(registry, tokens))
        measuring = asyncio.create_task(load.run())
        AgentConnection.most = room_for_connections()
        address = None
        try:
            while not stop.is_set():
                if self.network is not None:
                    address = await self._network_address(address)
                hosts = {LOOPBACK, *self.others} | ({address} if address else set())
                wanted = {(host, port) for host in hosts for port in self.ports}
                await self._serve(app, wanted)
                heard = (LOOPBACK if self.network is None else address, self.ports[0]) in self._servers
                registry.open() if heard else registry.shut()
                steady = heard and wanted == set(self._servers)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), STEADY_LOOK_S if steady else LOOK_S)
        finally:
            measuring.cancel()
            registry.shut()
            for place in list(self._servers):
                await self._servers.pop(place).close()

    async def _network_address(self, known: str | None) -> str | None:
        """An engine that does not answer takes no address away."""
        assert self.network is not None
        try:
            return await self.network()
        except TidegateError:
            return known

    async def _serve(self, app: object, wanted: set[Place]) -> None:
        for place in [place for place, served in self._servers.items() if place not in wanted or served.task.done()]:
            await self._servers.pop(place).close()
        for host, port in sorted(wanted - set(self._servers)):
            try:
                self._servers[host, port] = _Served(app, _bound(host, port))
            except OSError as error:
                self._tell((host, port), error)
            else:
                self._told.pop((host, port), None)
                log.info("listening for heartbeats on http://%s:%d", host, port)

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


class _Server(uvicorn.Server):
    """Signals are the controller's matter."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Served:
    """One address served by a task of its own."""

    def __init__(self, app: object, bound: socket.socket) -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=AgentConnection,
            ws="websockets-sansio",
            ws_max_size=MOST_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_S,
        )
        self._bound = bound
        self._server = _Server(config)
        self.task = asyncio.create_task(self._server.serve([bound]))

    async def close(self) -> None:
        """Answer what is being answered, at most END_S long, and let go of the port."""
        self._server.should_exit = True
        try:
            await asyncio.wait({self.task}, timeout=END_S)
        finally:
            self.task.cancel()
            self._bound.close()


def _bound(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
