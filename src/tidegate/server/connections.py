"""Connections with an end: a client that is slow on purpose is cut off, and their number is bounded."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""From the first byte of a connection (or of a further request on it) to the end of the answer."""


MOST_CONNECTIONS = 1000
"""Of one address. uvicorn's own limit would answer in plain text where the contract promises problem+json."""


class Bounded:
    """What a protocol of uvicorn lacks by itself: a deadline for each request, after which the connection is cut."""

    loop: Any
    transport: Any
    _deadline: asyncio.TimerHandle | None = None

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self._over)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _over(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


class BoundedConnection(Bounded, H11Protocol):
    """uvicorn's HTTP/1.1 with a deadline for each request; by itself it waits for ever for the end of a header."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count; refuse whoever is one too many before anything is read."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._begin()

    def data_received(self, data: bytes) -> None:
        """A further request on a connection that was kept begins to count."""
        if self._deadline is None:
            self._begin()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """The answer went out: from here on uvicorn's own keep-alive timer counts."""
        self._end()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left to wait for."""
        self._end()
        super().connection_lost(exc)


class ApiConnection(BoundedConnection):
    """The deadline is for the request alone: what is answered may be a stream that stays."""

    def data_received(self, data: bytes) -> None:
        """Once the whole request is here, nobody is slow on purpose any more."""
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.more_body and not cycle.response_complete:
            self._end()
