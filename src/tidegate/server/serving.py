"""One address served: a bound socket, a uvicorn server with our bounds, and an end with a deadline."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from tidegate.server.connections import BoundedConnection

END_S = 2.0
BACKLOG = 4096
MOST_HEADER_BYTES = 16 * 1024


@dataclass(frozen=True)
class Tls:
    """PEM files: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


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


class _Server(uvicorn.Server):
    """Signals are the controller's matter."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound
