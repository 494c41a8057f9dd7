"""A shell on an engine's host, for probes: one exec stream held open in a container of ours on the host's network.

A remote engine's containers have addresses that only its own host reaches, so questions are put from there. The
gateway's container is used where one runs; else a helper that does nothing but wait. Many questions are under way at
once: each runs in the background and answers with its number.
"""

import asyncio
import itertools
import math
import shlex
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.errors import NotFoundError, UnreachableError
from tidegate.model.workload import Probe

HELPER = "tidegate-prober"
BUSYBOX = "/usr/bin/busybox"
OPEN_S = 60.0
"""The helper's image may have to be brought to the host first."""
SLACK_S = 3.0
"""How much longer than the question's own time-out we wait for the host to say so."""
LOST = (aiohttp.ClientError, OSError, DockerError, AssertionError, RuntimeError)

HelperImage = Callable[[Docker], Awaitable[str]]
"""Makes sure that the engine has an image with busybox in it, and names it."""


class RemoteShell:
    """Runs small scripts on the engine's host. Opened by the first one; opened again when it breaks."""

    def __init__(self, engine: Engine, image: HelperImage) -> None:
        self._engine = engine
        self._image = image
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[int, str]]] = {}
        self._stream: Any = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None

    async def run(self, script: str, timeout_s: float) -> tuple[int, str]:
        """Exit status and the first 200 characters of output. Raises UnreachableError when the host says nothing.

        A script that takes longer than `timeout_s` is ended on the host; its status is 143 then.
        """
        number = next(self._numbers)
        heard: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s + SLACK_S):
                await self._open()
                self._waiting[number] = heard
                await self._stream.write_in(command(number, script, timeout_s).encode())
                return await heard
        except TimeoutError:
            raise UnreachableError("the host did not answer a probe's question in time") from None
        except LOST as error:
            await self._lose()
            raise UnreachableError(f"the host's shell is gone: {error or type(error).__name__}") from None
        finally:
            self._waiting.pop(number, None)

    async def close(self) -> None:
        """Let go of the stream; the helper stays for the next controller."""
        if self._opening is not None:
            self._opening.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._opening
        await self._lose()

    async def remove(self) -> None:
        """Take the helper away, where there is one. Raises EngineError."""
        with suppress(NotFoundError):
            async with self._engine.call(f"remove {HELPER}") as docker:
                await docker.containers.container(HELPER).delete(force=True)

    async def _open(self) -> None:
        """Whoever asks first opens; who gives up waiting does not end the opening for the others."""
        if self._stream is not None:
            return
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect(), name="open the host's shell")
        await asyncio.shield(self._opening)

    async def _connect(self) -> None:
        async with self._engine.call("open a shell on the host", OPEN_S) as docker:
            name = await gateway_of(docker) or await self._helper(docker)
            process = await docker.containers.container(name).exec(
                [BUSYBOX, "sh"], stdin=True, environment={"PATH": "/usr/bin:/bin"}
            )
            stream = process.start(detach=False)
            await stream.__aenter__()
        self._stream = stream
        self._reading = asyncio.create_task(self._read(stream), name="read the host's shell")

    async def _helper(self, docker: Docker) -> str:
        image = await self._image(docker)
        body: dict[str, Any] = {
            "Image": image,
            "Entrypoint": [BUSYBOX, "sleep", "2147483647"],
            "Labels": {labels.KIND: "prober"},
            "HostConfig": {
                "NetworkMode": "host",
                "CapDrop": ["ALL"],
                "Init": True,
                "ReadonlyRootfs": True,
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        }
        try:
            await docker.containers.create(body, name=HELPER)
        except DockerError as error:
            if error.status != 409:  # another controller made it, or an earlier one
                raise
        await docker.containers.container(HELPER).start()
        return HELPER

    async def _read(self, stream: Any) -> None:
        """Give each answer to who asked."""
        rest = b""
        with suppress(*LOST):
            while (message := await stream.read_out()) is not None:
                *lines, rest = (rest + message.data).split(b"\n")
                for line in lines:
                    self._hear(line.decode(errors="replace"))
        if self._stream is stream:
            await self._lose()

    def _hear(self, line: str) -> None:
        mark, _, told = line.partition(" ")
        if not mark.startswith("@") or not mark[1:].isdecimal():
            return
        status, _, said = told.partition(" ")
        waiting = self._waiting.get(int(mark[1:]))
        if waiting is not None and not waiting.done() and status.isdecimal():
            waiting.set_result((int(status), said.strip()))

    async def _lose(self) -> None:
        stream, self._stream = self._stream, None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection to the host is closed"))
        if stream is not None:
            with suppress(*LOST):
                await stream.close()


async def gateway_of(docker: Docker) -> str:
    """The id of a gateway container that runs on the host's network; empty where there is none."""
    for container in await docker.containers.list(filters={"label": ["dev.tidegate.gateway"], "status": ["running"]}):
        if (await container.show())["HostConfig"].get("NetworkMode") == "host":
            return str(container.id)
    return ""


def command(number: int, script: str, timeout_s: float) -> str:
    """What is sent: the script in the background, and one line with number, status and output when it ends."""
    timed = f"timeout {max(timeout_s, 0.05):.2f} sh -c {shlex.quote(script)} 2>&1 </dev/null"
    short = "printf %s \"$o\" | head -c 200 | tr '\\r\\n' '  '"
    return f"{{ o=$({timed}); c=$?; printf '@{number} %s %s\\n' $c \"$({short})\"; }} &\n"


def http_script(address: str, probe: Probe) -> str:
    """Ask by HTTP/1.1 and print the answer's first line. nc runs the asker with the connection as its two ends."""
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    lines = ("GET %s HTTP/1.1", "Host: %s", "User-Agent: tidegate-probe", "Accept: */*", "Connection: close", "", "")
    head = "\\r\\n".join(lines)
    host = f"{address}:{probe.port}"
    asker = f"printf '{head}' {shlex.quote(path)} {shlex.quote(host)}; IFS= read -r line; printf %s \"$line\" >&3"
    return f"{_connect(address, probe)} sh -c {shlex.quote(asker)} 3>&1"


def tcp_script(address: str, probe: Probe) -> str:
    """Connect, and say nothing."""
    return f"{_connect(address, probe)} true"


def _connect(address: str, probe: Probe) -> str:
    return f"nc -w {math.ceil(probe.timeout_s)} {shlex.quote(address)} {probe.port} -e {BUSYBOX}"
