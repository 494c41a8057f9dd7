"""Sockets that listen, and the server behind one, which is made when somebody knocks: often nobody ever does."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

BACKLOG = 4096


@dataclass(frozen=True)
class Tls:
    """PEM files: the certificate with its chain, and its key."""

    certificate: Path
    key: Path


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


class Server(Protocol):
    """What serves a socket until it is closed."""

    task: asyncio.Task[None]

    async def close(self) -> None:
        """Let go of the socket."""


class LateServer:
    """A bound socket and its server to be: the kernel keeps whoever knocks waiting while the server is made."""

    def __init__(self, bound: socket.socket, make: Callable[[socket.socket], Awaitable[Server]]) -> None:
        self._bound = bound
        self._make = make
        self._server: Server | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await _knock(self._bound)
        self._server = await self._make(self._bound)
        await self._server.task

    async def close(self) -> None:
        """Let go of the socket; a server answers first what it is answering."""
        if self._server is not None:
            await self._server.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self._bound.close()


async def _knock(bound: socket.socket) -> None:
    """Wait until somebody connects; the connection is left to whoever accepts it."""
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_reader(bound, heard.set)
    try:
        await heard.wait()
    finally:
        loop.remove_reader(bound)
