"""What the gateway's tests share: backends that say who they are, and an open-loop client that counts what it loses."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType, web

from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.operation import ApplyRoutes
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route

KEY = AgentKey("web", "prod")


@dataclass
class Server:
    """A backend of the test's own: /who answers its name; /status/N, /slow/S, /sse, /ws and POST echo do the rest."""

    name: str
    port: int
    host: str
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.host, self.port)


@contextlib.asynccontextmanager
async def http_server(name: str, host: str) -> AsyncIterator[Server]:
    server = Server(name, 0, host)

    async def who(request: web.Request) -> web.StreamResponse:
        server.seen[request.method] += 1
        body = await request.text()
        if body:
            server.seen[body] += 1
        return web.Response(text=f"{name} {body}".strip())

    async def status(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.match_info["code"]), text=name)

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(float(request.match_info["seconds"]))
        return web.Response(text=name)

    async def sse(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for number in range(200):
                await response.write(f"data: {name} {number}\n\n".encode())
                await asyncio.sleep(0.05)
        return response

    async def socket(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await ws.send_str(f"{name} {message.data}")
        return ws

    app = web.Application()
    app.router.add_get("/ws", socket)
    app.router.add_get("/sse", sse)
    app.router.add_get("/slow/{seconds}", slow)
    app.router.add_get("/status/{code}", status)
    app.router.add_route("*", "/{path:.*}", who)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, backlog=1024)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def tcp_server(name: str, host: str) -> AsyncIterator[Server]:
    """Answers each line with its name and the line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(f"{name} ".encode() + line)
        writer.close()

    listener = await asyncio.start_server(serve, host, 0)
    try:
        yield Server(name, listener.sockets[0].getsockname()[1], host)
    finally:
        listener.close()


def goal(route: Route, *shares: tuple[int, int, Sequence[Server]]) -> RouteGoal:
    """A route with (revision, weight, servers) each."""
    backends = tuple(Backend(r, w, tuple(sorted(s.endpoint for s in servers))) for r, w, servers in shares)
    return RouteGoal(route, backends)


def applied(*goals: RouteGoal, key: AgentKey = KEY) -> ApplyRoutes:
    return ApplyRoutes(key, goals, "the test says so")


@dataclass
class Load:
    """An open-loop client: it sends at its rate whatever the answers do, never retries, and notes every failure."""

    url: str
    rate: float = 200.0
    post_share: int = 2
    fresh: bool = False
    """A connection of its own for each request."""
    answers: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    sent: int = 0
    last: dict[str, float] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield self
        finally:
            stop.set()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        connector = TCPConnector(limit=0, force_close=self.fresh)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=10)) as client:
            begun, pending = time.monotonic(), set()
            while not stop.is_set():
                while self.sent < (time.monotonic() - begun) * self.rate:
                    self.sent += 1
                    task = asyncio.create_task(self._one(client, self.sent))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
                await asyncio.sleep(0.002)
            if pending:
                await asyncio.wait(pending)

    async def _one(self, client: ClientSession, number: int) -> None:
        post = number % self.post_share == 0
        call = client.post(self.url, data=str(number)) if post else client.get(self.url)
        try:
            async with call as response:
                text = await response.text()
                if response.status != 200:
                    self.lost.append(f"{number}: {response.status} {text[:80]}")
                    return
                name = text.split()[0]
                self.answers[name] += 1
                self.last[name] = time.monotonic()
        except Exception as error:  # whatever it was, a request was lost
            self.lost.append(f"{number}: {type(error).__name__} {error}")


async def until(check, deadline_s: float = 10.0):  # type: ignore[no-untyped-def]
    """Poll an async check until it is truthy; its last answer when the deadline has passed."""
    end = time.monotonic() + deadline_s
    while not (answer := await check()) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return answer
