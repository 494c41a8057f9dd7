"""Two exec streams held open in the gateway's container: a shell, and a pipe to Envoy's admin on its loopback.

A round trip takes about 2 ms, on a local engine, a remote one and Docker Desktop alike, where a new exec takes 100. The
admin listens on loopback only, on a port that the kernel chooses. A broken stream ends the session; its
owner opens another.
"""

import asyncio
import itertools
from collections.abc import Sequence

import aiodocker
import aiohttp

from tidegate.model.errors import GatewayError

RUN = "/run/tidegate"
"""Directory of the gateway's own facts in its container: `admin` (address), `id` (this start of the container)."""
SHELL = ("/usr/bin/busybox", "sh")
PIPE = (*SHELL, "-c", f"until [ -s {RUN}/admin ]; do usleep 5000; done; IFS=: read -r h p < {RUN}/admin; exec nc $h $p")
PATH = "/usr/bin:/bin"
NOTHING = "not found in config dump"
"""What the admin says, with status 404, of a section of the dump that is empty."""


class SessionError(GatewayError):
    """The streams are gone: the container ended, or the engine does not answer."""


class _Stream:
    """Bytes to and from a process in the container."""

    def __init__(self, container: aiodocker.containers.DockerContainer, command: Sequence[str]) -> None:
        self._container = container
        self._command = command
        self._stream: aiodocker.stream.Stream | None = None
        self._buffer = bytearray()
        self.stderr = bytearray()

    async def open(self) -> None:
        process = await self._container.exec(list(self._command), stdin=True, environment={"PATH": PATH})
        self._stream = process.start(detach=False)
        await self._stream.__aenter__()

    async def send(self, data: bytes) -> None:
        assert self._stream is not None
        try:
            await self._stream.write_in(data)
        except AssertionError as error:  # how aiodocker says that the connection is closed
            raise SessionError("the connection to the gateway's container is closed") from error

    async def until(self, mark: bytes) -> bytes:
        """Everything before the mark; the mark is consumed."""
        start = 0
        while (at := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark))
            await self._more()
        data = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        return data

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _more(self) -> None:
        assert self._stream is not None
        message = await self._stream.read_out()
        if message is None:
            raise SessionError("the gateway's container ended", hint="docker logs tidegate-gateway-1 says why")
        (self.stderr if message.stream == 2 else self._buffer).extend(message.data)

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.close()


class Session:
    """A shell and the admin of one gateway container. Not open until `open()`; safe to share between tasks."""

    def __init__(self, container: aiodocker.containers.DockerContainer) -> None:
        self.container = container
        self._shell = _Stream(container, SHELL)
        self._admin = _Stream(container, PIPE)
        self._busy = asyncio.Lock(), asyncio.Lock()
        self._marks = itertools.count(1)
        self.broken = False

    async def open(self, deadline_s: float) -> None:
        """Connect both streams. Raises SessionError."""
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(self._shell.open(), self._admin.open())
        except (TimeoutError, OSError, aiohttp.ClientError, aiodocker.DockerError) as error:
            await self.close()
            raise SessionError(f"the gateway's container cannot be reached: {error or type(error).__name__}") from error

    async def run(self, script: str, deadline_s: float = 5.0) -> tuple[int, str]:
        """Run a script in the shell, as one compound command: it is carried out wholly once it has arrived.

        Returns exit status and output. Raises SessionError.
        """
        mark = f"--done-{next(self._marks)}--"
        text = f"{{\n{script}\n}}\nprintf '\\n{mark}%s\\n' $?\n"
        async with self._busy[0], _Guard(self, deadline_s, "the gateway's shell"):
            await self._shell.send(text.encode())
            output = await self._shell.until(f"\n{mark}".encode())
            status = await self._shell.until(b"\n")
        return int(status), output.decode()

    async def ask(self, paths: Sequence[str], *, method: str = "GET", deadline_s: float = 5.0) -> list[str]:
        """Ask the admin several things. Raises SessionError; GatewayError for a status >= 400.

        One after the other: Envoy 1.40's admin closes the connection when three requests arrive in one packet.
        """
        answers = []
        async with self._busy[1], _Guard(self, deadline_s, "the gateway's admin"):
            for path in paths:
                request = f"{method} {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n"
                await self._admin.send(request.encode())
                answers.append(await self._answer())
        for path, (status, body) in zip(paths, answers, strict=True):
            if status >= 400 and not body.endswith(NOTHING):
                raise GatewayError(f"the gateway's admin answered {status} to {path}: {body[:200]}")
        return [body if status < 400 else "{}" for status, body in answers]

    async def _answer(self) -> tuple[int, str]:
        head = (await self._admin.until(b"\r\n\r\n")).decode().lower()
        status = int(head.split(" ", 2)[1])
        if "transfer-encoding: chunked" not in head:
            size = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
            return status, (await self._admin.exactly(size)).decode()
        body = bytearray()
        while size := int(await self._admin.until(b"\r\n"), 16):
            body += await self._admin.exactly(size)
            await self._admin.until(b"\r\n")
        await self._admin.until(b"\r\n")
        return status, body.decode()

    def errors(self) -> str:
        """The last of what the shell complained about."""
        return self._shell.stderr[-300:].decode(errors="replace").strip()

    async def close(self) -> None:
        """Let go of both streams; the gateway serves on."""
        self.broken = True
        for stream in (self._shell, self._admin):
            await stream.close()


class _Guard:
    """A deadline around a round trip; whatever interrupts one breaks the session, because answers would be mixed up."""

    def __init__(self, session: Session, deadline_s: float, what: str) -> None:
        self._session = session
        self._what = what
        self._deadline = asyncio.timeout(deadline_s)

    async def __aenter__(self) -> None:
        if self._session.broken:
            raise SessionError(f"{self._what} is gone")
        await self._deadline.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            await self._deadline.__aexit__(kind, error, None)
        except TimeoutError as late:
            await self._session.close()
            raise SessionError(f"{self._what} did not answer in time") from late
        if error is not None:
            await self._session.close()
            if isinstance(error, (OSError, aiohttp.ClientError, aiodocker.DockerError, RuntimeError, ValueError)):
                raise SessionError(f"{self._what} is gone: {error}") from error
