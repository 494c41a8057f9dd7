"""One address served: a bound socket, a uvicorn server with our bounds, and an end with a deadline."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from tidegate.server.connections import BoundedConnection
from tidegate.server.sockets import Tls

END_S = 2.0
TICK_S = 1.0
MOST_HEADER_BYTES = 16 * 1024


class Served:
    """One address served by a task of its own."""

    def __init__(
        self,
        app: object,
        bound: socket.socket,
        http: type[asyncio.Protocol] = BoundedConnection,
        tls: Tls | None = None,
        most_message: int = 0,
    ) -> None:
        """`most_message`: bytes of a WebSocket's message; 0: none are served. Compression is never negotiated."""
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=http,
            ws="websockets-sansio" if most_message else "none",
            ws_max_size=most_message,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        self._server = _Server(config)
        self.task = asyncio.create_task(self._server.serve([bound]))
        self.task.add_done_callback(lambda _: bound.close())  # not before: the server takes it off the loop by itself

    async def close(self) -> None:
        """Answer what is being answered, at most END_S long, and let go of the port."""
        self._server.end()
        try:
            await asyncio.wait({self.task}, timeout=END_S)
        finally:
            self.task.cancel()


class _Server(uvicorn.Server):
    """Signals are the controller's matter. It is told of its end, and need not look for it ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ended = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        """Answer what is being answered, and no more."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Uvicorn's own, with a tick a second, which is how often its Date header changes."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._ended.wait()
