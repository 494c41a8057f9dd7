"""HTTP/1.1 with keep-alive on asyncio streams: as much of RFC 9112 as a gateway and a prober use."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from logship import VERSION

HEAD_BYTES = 32 * 1024
HEAD_S, BODY_S, IDLE_S = 10.0, 30.0, 3700.0  # idle: longer than a gateway keeps a pooled connection (an hour)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Request:
    """Header names are in lower case. `at` is when its first line was there, on the monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass(frozen=True)
class Response:
    """`headers` come on top of the ones that every response has."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class Malformed(Exception):
    """The request cannot be understood or is too large; the connection ends after this status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Server:
    """Serves `handle` and closes gently: `closing` makes every response the last one on its connection."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]], body_bytes: int) -> None:
        self._handle, self._body_bytes = handle, body_bytes
        self._server: asyncio.Server | None = None
        self._idle: set[asyncio.StreamWriter] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self.closing = False

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port."""
        self._server = await asyncio.start_server(self._connection, host, port, limit=HEAD_BYTES, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, most_s: float) -> None:
        """Take no new connection, drop idle ones, let requests in work finish for at most `most_s` seconds."""
        self.closing = True
        if self._server is not None:
            self._server.close()
        for writer in list(self._idle):
            writer.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=most_s)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            while True:
                self._idle.add(writer)
                async with asyncio.timeout(IDLE_S):
                    first = await reader.read(1)
                self._idle.discard(writer)
                if not first:
                    return
                self._busy.add(task)
                if not await self._exchange(first, reader, writer):
                    return
                self._busy.discard(task)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return
        finally:
            self._idle.discard(writer)
            self._busy.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its response; True when the connection may carry another one."""
        try:
            method, path, version, headers = await _head(first, reader)
            at = time.monotonic()
            if headers.get("expect", "").lower() == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async with asyncio.timeout(BODY_S):
                body = await _body(headers, reader, self._body_bytes)
        except Malformed as problem:
            writer.write(_encode(Response(problem.status, f'{{"error": "{problem}"}}\n'.encode()), "GET", True))
            await writer.drain()
            return False
        response = await self._handle(Request(method, path, headers, body, at))
        wanted = [item.strip() for item in headers.get("connection", "").lower().split(",")]
        last = self.closing or "close" in wanted or (version == "HTTP/1.0" and "keep-alive" not in wanted)
        writer.write(_encode(response, method, last))
        await writer.drain()
        return not last


async def _head(first: bytes, reader: asyncio.StreamReader) -> tuple[str, str, str, dict[str, str]]:
    try:
        async with asyncio.timeout(HEAD_S):
            raw = first + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as problem:
        raise Malformed(431, "the header is too large") from problem
    except TimeoutError as problem:
        raise Malformed(408, "the header did not come in time") from problem
    start, *lines = raw[:-4].split(b"\r\n")
    parts = start.split(b" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise Malformed(400, "the request line is malformed")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            raise Malformed(400, "a header is malformed")
        key = name.decode("ascii").lower()
        if key in headers and key in ("content-length", "transfer-encoding", "host"):
            raise Malformed(400, f"{key} came twice")
        headers[key] = value.strip().decode("latin-1")
    return parts[0].decode("ascii"), parts[1].decode("latin-1"), parts[2].decode("ascii"), headers


async def _body(headers: dict[str, str], reader: asyncio.StreamReader, most: int) -> bytes:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None or coding.lower() != "chunked":
            raise Malformed(400, "transfer-encoding: only chunked, and without content-length")
        return await _chunks(reader, most)
    if length is None:
        return b""
    if not (length.isascii() and length.isdigit()):
        raise Malformed(400, "content-length is not a number")
    if len(length) > 12 or int(length) > most:
        raise Malformed(413, f"the body is larger than {most} bytes")
    return await reader.readexactly(int(length))


async def _chunks(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while True:
        try:
            line = await reader.readuntil(b"\r\n")
        except asyncio.LimitOverrunError as problem:
            raise Malformed(400, "a chunk is malformed") from problem
        digits = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits):
            raise Malformed(400, "a chunk is malformed")
        size = int(digits, 16)
        if len(body) + size > most:
            raise Malformed(413, f"the body is larger than {most} bytes")
        if not size:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass  # trailers
            return bytes(body)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed(400, "a chunk is malformed")


def _encode(response: Response, method: str, last: bool) -> bytes:
    head = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        f"X-Agent-Version: {VERSION}",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        *(["Connection: close"] if last else []),
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (b"" if method == "HEAD" else response.body)
