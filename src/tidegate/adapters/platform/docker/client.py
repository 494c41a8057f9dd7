"""The connection to one engine: API version negotiated, every call with a deadline, every failure an error of ours."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.reach import is_walled, may_be_walled
from tidegate.model.errors import ConflictError, EngineError, NotFoundError, TidegateError, UnreachableError

OLDEST = (1, 40)
NEWEST = (1, 47)
"""The API versions that this adapter speaks. Engine 20.10 knows up to 1.41, Engine 29 refuses anything below 1.44."""

CONNECT_S = 3.0


class Engine:
    """One engine by its URL (unix://, tcp://, ssh://; empty: what the docker command line would use)."""

    def __init__(self, url: str = "", *, ssl_context: ssl.SSLContext | None = None, deadline_s: float = 10.0) -> None:
        self.url = url
        self.deadline_s = deadline_s
        self._ssl = ssl_context
        self._docker: Docker | None = None
        self._negotiated = False
        self._lock = asyncio.Lock()
        self.walled = False
        """Whether its containers' addresses lead nowhere from this machine; known once it has answered."""

    @property
    def local(self) -> bool:
        """Whether the engine's files are files of this machine."""
        return self._where().startswith("unix://")

    @asynccontextmanager
    async def call(self, what: str, deadline_s: float | None = None) -> AsyncIterator[Docker]:
        """Run one call, or a few that belong together, within a deadline (math.inf for streams with heartbeats).

        Raises UnreachableError (no engine, no answer), NotFoundError (404), ConflictError (409) or EngineError.
        """
        limit = self.deadline_s if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(None if math.isinf(limit) else limit):
                yield await self._connect()
        except TimeoutError:
            self._negotiated = False
            raise self._unreachable(f"{what}: no answer within {limit:g} s") from None
        except DockerError as error:
            raise self._translate(what, error) from None
        except (aiohttp.ClientError, OSError) as error:
            self._negotiated = False
            raise self._unreachable(f"{what}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        """Let go of the connections."""
        docker, self._docker, self._negotiated = self._docker, None, False
        if docker is not None:
            await docker.close()

    async def _connect(self) -> Docker:
        if self._docker is not None and self._negotiated:
            return self._docker
        async with self._lock:
            if self._docker is None:
                self._docker = self._open()
            if not self._negotiated:
                self._docker.api_version = "auto"
                answer = await self._version(self._docker)
                self._docker.api_version = negotiate(str(answer["ApiVersion"]), str(answer.get("MinAPIVersion", "")))
                self.walled = may_be_walled(self._where()) and is_walled(await self._docker.system.info())
                self._negotiated = True
        return self._docker

    async def _version(self, docker: Docker) -> dict[str, Any]:
        try:
            async with asyncio.timeout(CONNECT_S):
                answer: dict[str, Any] = await docker._query_json("version", versioned_api=False)
        except TimeoutError:
            raise self._unreachable(f"no answer within {CONNECT_S:g} s") from None
        return answer

    def _open(self) -> Docker:
        timeout = aiohttp.ClientTimeout(sock_connect=CONNECT_S)
        try:
            return Docker(url=self.url or None, timeout=timeout, ssl_context=self._ssl)
        except (AssertionError, ValueError) as error:
            raise UnreachableError(
                f"no Docker Engine found ({error or 'no socket and no DOCKER_HOST'})",
                hint="start the engine, or set DOCKER_HOST; tidegate doctor says what is missing",
            ) from None

    def _where(self) -> str:
        """The URL in use; ssh:// shows as itself here and as a socket in aiodocker's docker_host."""
        return self.url or (self._docker._connection_info if self._docker else "unix:// (not found yet)")

    def _unreachable(self, message: str) -> UnreachableError:
        hint = "is the engine running? tidegate doctor looks; instances go on without it only with live-restore"
        return UnreachableError(f"Docker Engine at {self._where()}: {message}", hint=hint)

    def _translate(self, what: str, error: DockerError) -> TidegateError:
        if error.status == 900:  # aiodocker's own number for "cannot connect"
            self._negotiated = False
            return self._unreachable(f"{what}: {error.message}")
        message = f"{what}: {error.message}"
        match error.status:
            case 404:
                return NotFoundError(message)
            case 409:
                return ConflictError(message)
            case _:
                if "client version" in error.message:  # the engine was exchanged under us
                    self._negotiated = False
                return EngineError(message)


def negotiate(newest: str, oldest: str) -> str:
    """The API version to speak with an engine that knows `oldest` to `newest`. Raises EngineError if there is none."""
    theirs = _number(newest)
    if theirs < OLDEST or (oldest and _number(oldest) > NEWEST):
        ours = f"{_text(OLDEST)} to {_text(NEWEST)}"
        raise EngineError(
            f"the engine speaks API {oldest or '?'} to {newest}, Tidegate {ours}",
            hint="use Docker Engine 19.03 or later" if theirs < OLDEST else "update Tidegate",
        )
    return f"v{_text(min(theirs, NEWEST))}"


def _number(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor or 0)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
