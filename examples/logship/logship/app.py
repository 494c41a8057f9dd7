"""What the agent answers: POST /logs, and what a gateway, a prober and a person ask it."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from logship import VERSION, logs
from logship.metrics import Metrics
from logship.ship import Shipper
from logship.spool import Spool, SpoolFull
from logship.tail import record
from logship.web import Request, Response

PROBES = {"/health", "/ready", "/metrics"}
MOST_LINES = 10_000


@dataclass
class App:
    """The routes. `stopping` turns readiness off; everything else goes on until the server is closed."""

    spool: Spool
    shipper: Shipper
    metrics: Metrics
    stopping: bool = False

    async def handle(self, request: Request) -> Response:
        """Answer a request and write its line into the log; probes are counted by nobody."""
        path = request.path.partition("?")[0]
        if path in PROBES:
            return self._probe(request, path)
        request_id = request.headers.get("x-request-id") or uuid.uuid4().hex
        error = ""
        try:
            response = await self._route(request, path)
        except Exception as problem:  # a bug of ours costs this request, not the agent
            error = f"{type(problem).__name__}: {problem}"
            response = _told(500, "internal error")
        seconds = time.monotonic() - request.at
        self.metrics.observe(seconds)
        self.metrics.count("requests", code=str(response.status), method=_known(request.method))
        logs.write(
            "error" if error else "info",
            "request",
            method=request.method,
            path=path,
            status=response.status,
            ms=round(seconds * 1000, 3),
            request_id=request_id,
            **({"error": error} if error else {}),
        )
        return response

    async def _route(self, request: Request, path: str) -> Response:
        match request.method, path:
            case "GET" | "HEAD", "/":
                return _json(200, {"agent": "logship", "version": VERSION, "waiting_lines": self.spool.lines})
            case "POST", "/logs":
                return await self._take(request)
            case _, "/" | "/logs":
                return _told(405, "here: GET /, POST /logs", Allow="POST" if path == "/logs" else "GET, HEAD")
            case _:
                return _told(404, "here are /, /logs, /health, /ready and /metrics")

    async def _take(self, request: Request) -> Response:
        try:
            lines = parse(request.body, request.headers.get("content-type", ""))
        except ValueError as problem:
            return _told(400, str(problem))
        try:
            self.spool.append([record(identifier, "http", line) for identifier, line in lines])
            await self.spool.settle()
        except (SpoolFull, OSError) as problem:
            return _told(503, f"not queued: {problem}", **{"Retry-After": "1"})
        self.metrics.count("lines_accepted", len(lines), source="http")
        return _json(202, {"accepted": len(lines)})

    def _probe(self, request: Request, path: str) -> Response:
        if request.method not in ("GET", "HEAD"):
            return _told(405, "GET only", Allow="GET, HEAD")
        if path == "/metrics":
            return Response(200, self.metrics.render().encode(), "text/plain; version=0.0.4; charset=utf-8")
        if path == "/health":
            return _json(200, {"status": "ok", "version": VERSION})
        reason = "stopping" if self.stopping else "the spool is full" if self.spool.full else ""
        return _json(503 if reason else 200, {"ready": not reason, "reason": reason, "version": VERSION})


def parse(body: bytes, content_type: str) -> list[tuple[str, str]]:
    """The (id, line) pairs of a body; raises ValueError with what was expected.

    Plain text is one record a line. JSON is a list (or one) of strings or of {"line": text, "id": text}; the id, when
    given, lets a client send again after a lost answer without the line being counted twice.
    """
    try:
        text = body.decode("utf-8")
        items = json.loads(text) if "json" in content_type else [line for line in text.splitlines() if line]
    except (ValueError, RecursionError) as problem:
        raise ValueError("expected lines of UTF-8 text, or JSON with content-type application/json") from problem
    items = items if isinstance(items, list) else [items]
    if not 0 < len(items) <= MOST_LINES:
        raise ValueError(f"expected 1 to {MOST_LINES} lines, found {len(items)}")
    fresh = uuid.uuid4().hex
    return [_pair(item, f"{fresh}-{number}") for number, item in enumerate(items)]


def _pair(item: object, fresh: str) -> tuple[str, str]:
    match item:
        case str(line):
            return fresh, line
        case {"line": str(line), **more} if isinstance(more.get("id", ""), str):
            return str(more.get("id") or fresh), line
    raise ValueError('expected each item to be a string or {"line": text, "id": text}')


def gauges(spool: Spool) -> dict[str, Callable[[], float]]:
    """What is read at each scrape."""
    return {"spool_lines": lambda: spool.lines, "spool_bytes": lambda: spool.bytes}


def _known(method: str) -> str:
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS") else "other"


def _json(status: int, content: dict[str, object], **headers: str) -> Response:
    return Response(status, json.dumps(content).encode() + b"\n", headers=headers)


def _told(status: int, error: str, **headers: str) -> Response:
    return _json(status, {"error": error}, **headers)
