"""Connections of agents: many and fast, each with bounds on time and size, and their number bounded."""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidegate.server.connections import Bounded

MOST_HEADER_BYTES = 16 * 1024
MOST_HEADERS = 100
MOST_CONNECTIONS = 20_000
"""Of one address. Each idle one takes some 10 KB."""

KEEP_S = 75
"""Seconds that a connection is kept for the next heartbeat: twice the usual interval, and then some."""

RESERVED_FILES = 200
"""Open files that are left for everything that is not a connection of an agent."""

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
"""For whoever is one too many, before anything of it is read."""


def room_for_connections() -> int:
    """As many as the limit of open files leaves room for; the soft limit is raised to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(hard - RESERVED_FILES, RESERVED_FILES))


class AgentConnection(Bounded, HttpToolsProtocol):
    """uvicorn's HTTP/1.1 on llhttp, several times as fast as that on h11, with the bounds that llhttp leaves open."""

    most = MOST_CONNECTIONS
    _header_bytes = 0

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.timeout_keep_alive = KEEP_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count; refuse whoever is one too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(BUSY)
            transport.close()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """A further request on a connection that was kept begins to count."""
        if self._deadline is None:
            self._begin()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Headers are counted anew for each request."""
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """llhttp itself has no limit."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp itself has no limit."""
        self._count(len(name) + len(value))
        super().on_header(name, value)
        if len(self.headers) > MOST_HEADERS:
            raise ValueError("too many headers")

    def _count(self, size: int) -> None:
        """What is raised in a callback of the parser is answered with 400."""
        self._header_bytes += size
        if self._header_bytes > MOST_HEADER_BYTES:
            raise ValueError("headers are too large")

    def handle_websocket_upgrade(self) -> None:
        """From here on the WebSocket's own pings tell whether somebody is there."""
        self._end()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """The answer went out: from here on uvicorn's own keep-alive timer counts."""
        self._end()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._end()
        super().connection_lost(exc)
