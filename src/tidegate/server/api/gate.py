"""The gate in front of every route: an id, bounds, who it is, how often; afterwards a line in the log and a number.

It authenticates before a byte of the body is read. Everything that it refuses is problem+json.
"""

import asyncio
import hmac
import logging
import time
import uuid
from collections import OrderedDict

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.model.access import AccessToken, digest_of, id_of
from tidegate.model.errors import StoreError
from tidegate.server.api.parts import LOCAL, Api, Caller
from tidegate.server.problems import problem, problem_of

PUBLIC = frozenset({"/healthz", "/readyz", "/v1/openapi.json"})
"""Paths that need no token: they tell nothing about any agent."""

MOST_BYTES = 1024 * 1024
BODY_S = 10.0
KNOWN_S = 1.0
"""How long a token that was looked up is believed: it is revoked within this time."""

FAILURES_A_SECOND = 5.0
BURST_S = 2.0
MOST_REMEMBERED = 10_000
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="tidegate"'}
CLOSE = {"Connection": "close"}
BODIES = frozenset({"POST", "PUT", "PATCH"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

log = logging.getLogger(__name__)


class Refused(Exception):
    """An answer that is given before any route is asked."""

    def __init__(self, answer: ASGIApp, why: str) -> None:
        self.answer = answer
        self.why = why


class Gate:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api
        self._known: OrderedDict[str, tuple[AccessToken, float]] = OrderedDict()
        self._callers = Buckets(api.door.rate)
        self._failures = Buckets(FAILURES_A_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        passage = Passage(scope, send)
        try:
            caller = await self._admit(scope)
            if caller is not None:
                passage.who = caller.name
                scope.setdefault("state", {})["caller"] = caller
            body = _bounded(scope)
            await self._app(scope, body.reader(receive), passage.send)
        except Refused as refusal:
            self._api.measures.refused.labels(refusal.why).inc()
            await passage.refuse(refusal, receive)
        finally:
            self._tell(passage)

    async def _admit(self, scope: Scope) -> Caller | None:
        """Who it is. Raises Refused."""
        headers, address = Headers(scope=scope), (scope.get("client") or ("?",))[0]
        if self._api.door.open:
            host = headers.get("host", "").rsplit(":", 1)[0] if "]" not in headers.get("host", "") else "[::1]"
            if host.lower() not in LOOPBACK_NAMES:
                raise Refused(problem(421, "an open door is for localhost only", code="access"), "host")
            return Caller(LOCAL, address)
        if scope["path"] in PUBLIC:
            return None
        if self._failures.empty(address):
            raise Refused(_later("too many wrong tokens from this address"), "failures")
        token = await self._token(headers.get("authorization", ""))
        if token is None:
            self._failures.spend(address)
            raise Refused(
                problem(401, "a valid token is needed: Authorization: Bearer tgt_...", code="access",
                        headers=CHALLENGE | CLOSE, hint="tidegate token create makes one"),
                "token",
            )  # fmt: skip
        if not self._callers.spend(token.id):
            raise Refused(_later(f"more than {self._api.door.rate:g} requests a second with this token"), "rate")
        return Caller(token, address)

    async def _token(self, header: str) -> AccessToken | None:
        """The token of a header, when it is in force. Raises Refused when that cannot be looked up."""
        scheme, _, text = header.partition(" ")
        text = text.strip()
        identity = id_of(text) if scheme.lower() == "bearer" else None
        if identity is None:
            return None
        token, until = self._known.get(identity, (None, 0.0))
        if token is None or until <= time.monotonic():
            try:
                token = await self._api.books.access.find(identity)
            except StoreError as error:
                raise Refused(problem_of(503, error, {"Retry-After": "2"}), "store") from None
            if token is not None:
                self._remember(token)
        good = hmac.compare_digest(digest_of(text), token.digest if token else "0" * 64)
        return token if good and token is not None and token.holds(self._api.now()) else None

    def _remember(self, token: AccessToken) -> None:
        self._known[token.id] = (token, time.monotonic() + KNOWN_S)
        self._known.move_to_end(token.id)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def _tell(self, passage: "Passage") -> None:
        route = getattr(passage.scope.get("route"), "path", "none")
        took, status = time.perf_counter() - passage.began, passage.status
        self._api.measures.requests.labels(passage.method, route, str(status)).inc()
        self._api.measures.seconds.labels(route).observe(took)
        fields = {
            "request": passage.id,
            "by": passage.who or None,
            "method": passage.method,
            "path": passage.scope["path"][:200],
            "status": status,
            "ms": f"{took * 1000:.1f}",
        }
        calm = passage.method in ("GET", "HEAD") and (status < 400 or status == 404)
        level = logging.DEBUG if calm else logging.INFO
        log.log(level, "%s %d", route, status, extra={"fields": fields})


class Passage:
    """One request on its way through: its id is in every answer and in the log."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.id = uuid.uuid4().hex
        self.method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self.began = time.perf_counter()
        self.status = 499
        self.who = ""
        self._send = send
        self._answering = False
        scope.setdefault("state", {})["request"] = self.id

    async def send(self, message: Message) -> None:
        """Pass the answer on, with what every answer has."""
        if message["type"] == "http.response.start":
            self._answering = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.id
            headers.setdefault("Cache-Control", "no-store")
            headers.setdefault("X-Content-Type-Options", "nosniff")
        await self._send(message)

    async def refuse(self, refusal: Refused, receive: Receive) -> None:
        """Answer in the route's place, unless it began to answer."""
        if not self._answering:
            await refusal.answer(self.scope, receive, self.send)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Body:
    """A body's bounds: bytes while it arrives, seconds until its end."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._read = 0
        self._whole = False
        self._until = 0.0

    def reader(self, receive: Receive) -> Receive:
        """`receive` with the bounds. It raises HTTPException, which alone FastAPI lets through while it reads."""

        async def read() -> Message:
            if self._whole:
                return await receive()
            loop = asyncio.get_running_loop()
            self._until = self._until or loop.time() + self._seconds
            try:
                async with asyncio.timeout_at(self._until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"the body did not arrive within {self._seconds:g} s", CLOSE) from None
            self._read += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._read > self._most:
                raise HTTPException(413, f"the body may have {self._most} bytes at most", CLOSE)
            return message

        return read


def _bounded(scope: Scope) -> Body:
    """The bounds of a request's body, by what its headers say already. Raises Refused."""
    headers = Headers(scope=scope)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MOST_BYTES:
        raise Refused(_too_large(MOST_BYTES), "size")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(problem(415, "Content-Encoding is not understood here", code="body", headers=CLOSE), "encoding")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    has_body = (announced not in ("", "0")) or "transfer-encoding" in headers
    if scope["method"] in BODIES and has_body and kind != "application/json":
        wrong = f"Content-Type must be application/json, not {kind[:50] or 'absent'}"
        raise Refused(problem(415, wrong, code="body", headers=CLOSE), "kind")
    return Body(MOST_BYTES, BODY_S)


def _too_large(most: int) -> ASGIApp:
    return problem(413, f"the body may have {most} bytes at most", code="body", headers=CLOSE)


def _later(why: str) -> ASGIApp:
    return problem(429, why, code="access", headers={"Retry-After": "1"})


class Buckets:
    """A token bucket a name; the names used longest ago are forgotten, and have a full one again."""

    def __init__(self, a_second: float) -> None:
        self._a_second = a_second
        self._burst = max(1.0, a_second * BURST_S)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, name: str) -> bool:
        """Take one; False when there is none."""
        left = self._now(name)
        self._left[name] = (max(0.0, left - 1), time.monotonic())
        self._left.move_to_end(name)
        if len(self._left) > MOST_REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1

    def empty(self, name: str) -> bool:
        """Whether nothing is left."""
        return self._now(name) < 1

    def _now(self, name: str) -> float:
        left, at = self._left.get(name, (self._burst, 0.0))
        return min(self._burst, left + (time.monotonic() - at) * self._a_second)
