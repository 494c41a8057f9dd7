"""One connection to a server's API: requests with a deadline, problems back as the errors that they are."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp

from tidegate.model import codec, errors
from tidegate.model.errors import AccessError, ConflictError, StoreError, TidegateError, UsageError
from tidegate.model.release import AgentKey

T = TypeVar("T")

CALL_S = 30.0
CONNECT_S = 10.0
READ_S = 60.0
"""Of a stream: the server says every 15 s that it lives."""
TRY_AGAIN_S = (0.2, 0.5, 1.0)
"""Pauses before a request is made again that was refused as too many, or found nobody (a server that restarts)."""


def _kinds() -> Mapping[str, type[TidegateError]]:
    found = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TidegateError)]
    return {one.code: one for one in found if one is not errors.SpecError}


@dataclass
class Client:
    """Close it when done. Its repr shows no token."""

    url: str
    token: str = field(default="", repr=False)
    authority: str = ""
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Client":
        """By TIDEGATE_URL, TIDEGATE_TOKEN (or TIDEGATE_TOKEN_FILE), TIDEGATE_CA. Raises UsageError."""
        url = environ["TIDEGATE_URL"].rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError("TIDEGATE_URL is no address of a server", hint="https://HOST:4321, and nothing after it")
        return cls(url, _token(environ), environ.get("TIDEGATE_CA", ""))

    async def get(self, path: str, **query: Any) -> Any:
        """Plain data. Raises what the server's problem says."""
        return await self.call("GET", path, query={name: value for name, value in query.items() if value is not None})

    async def load(self, as_type: type[T], path: str, **query: Any) -> T | None:
        """A model value; None where the server has none."""
        try:
            return codec.load(await self.get(path, **query), as_type)
        except errors.NotFoundError:
            return None

    async def call(
        self, method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None, key: str = ""
    ) -> Any:
        """One request, made again while nothing can have come of it. `key` makes a repeated POST harmless."""
        pauses = iter(TRY_AGAIN_S if method == "GET" or key else ())
        while True:
            try:
                return await self._once(method, path, body, query, {"Idempotency-Key": key} if key else {})
            except _AgainError as error:
                pause = next(pauses, None)
                if pause is None:
                    raise error.told from None
                await asyncio.sleep(pause)

    async def _once(
        self, method: str, path: str, body: Any, query: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        limit = aiohttp.ClientTimeout(total=CALL_S, sock_connect=CONNECT_S)
        try:
            async with self._opened().request(
                method,
                self.url + path,
                data=content,
                params=query,
                headers=headers,
                timeout=limit,
                allow_redirects=False,
            ) as answer:
                text = await answer.read()
                status = answer.status
        except TimeoutError:
            raise _AgainError(StoreError(f"{self.url} did not answer within {CALL_S:g} s", hint=HINT)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _AgainError(StoreError(f"{self.url} cannot be reached ({_why(error)})", hint=HINT)) from None
        if status >= 400:
            told = _problem(status, text)
            raise _AgainError(told) if status == 429 else told
        return json.loads(text) if text else None

    async def job(self, path: str, body: Any, **query: Any) -> Any:
        """Begin long work, and wait for its result."""
        begun = await self.call("POST", path, body, query)
        while True:
            state = await self.get(f"/v1/jobs/{begun['id']}")
            if state["state"] == "done":
                return state["result"]
            if state["state"] == "failed":
                raise _kinds().get(state["code"], TidegateError)(state["detail"])
            await asyncio.sleep(0.2)

    async def messages(self, path: str, **query: Any) -> AsyncIterator[Any]:
        """The data of each message of a stream of server-sent events, until it ends."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=READ_S)
        try:
            async with self._opened().get(
                self.url + path, params=query, timeout=limit, allow_redirects=False
            ) as answer:
                if answer.status >= 400:
                    raise _problem(answer.status, await answer.read())
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        yield json.loads(line[6:])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreError(f"{self.url} broke off ({_why(error)})", hint=HINT) from None

    async def close(self) -> None:
        """Let go of connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            context: ssl.SSLContext | bool = True
            if self.authority:
                try:
                    context = ssl.create_default_context(cafile=self.authority)
                except OSError:
                    raise UsageError(f"TIDEGATE_CA names {self.authority}, which is no file of certificates") from None
            headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connector = aiohttp.TCPConnector(ssl=context, limit=8)
            self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self._session


HINT = "TIDEGATE_URL names the server; curl $TIDEGATE_URL/healthz says whether it lives"


class _AgainError(Exception):
    """A request of which nothing can have come. `told` is what is said when it is given up."""

    def __init__(self, told: TidegateError) -> None:
        self.told = told


def path_of(key: AgentKey) -> str:
    """The path of an agent in an environment."""
    return f"/v1/environments/{quote(key.environment, safe='')}/agents/{quote(key.agent, safe='')}"


def _token(environ: Mapping[str, str]) -> str:
    file = environ.get("TIDEGATE_TOKEN_FILE", "")
    if not file:
        return environ.get("TIDEGATE_TOKEN", "").strip()
    try:
        with open(file, encoding="utf-8") as stream:  # noqa: PTH123 - one line of a small file
            return stream.readline().strip()
    except OSError as error:
        raise UsageError(f"TIDEGATE_TOKEN_FILE names {file}: {os.strerror(error.errno or 0)}") from None


def _problem(status: int, text: bytes) -> TidegateError:
    """The error that a problem tells of."""
    try:
        plain = json.loads(text)
        code, detail, hint = str(plain.get("type", "")).rpartition("#")[2], str(plain["detail"]), plain.get("hint", "")
    except (ValueError, KeyError, AttributeError):
        code, detail, hint = "", f"the server answered {status}", "see that TIDEGATE_URL names a Tidegate server"
    more = [f"{one.get('key') or one.get('at', '')}: {one['message']}" for one in plain_errors(text)]
    detail = "\n".join([detail, *more])
    if code == "timed-out":
        return TidegateError(detail, hint=str(hint))
    kind = _kinds().get(code) or {401: AccessError, 403: AccessError, 409: ConflictError}.get(status, StoreError)
    return kind(detail, hint=str(hint))


def plain_errors(text: bytes) -> list[dict[str, str]]:
    """What a problem lists, where it does."""
    try:
        found = json.loads(text).get("errors", [])
    except (ValueError, AttributeError):
        return []
    return [one for one in found if isinstance(one, dict) and "message" in one]


def _why(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    return (isinstance(cause, OSError) and cause.strerror) or type(error).__name__
