"""A steady load that tells the truth: open loop, no retries, every request of the schedule accounted for.

Arrivals follow a fixed schedule whatever the answers do, and a latency counts from the *scheduled* moment, so that a
stall is seen by every request it delayed (no coordinated omission). A request is

- answered: it got a response that is not 5xx
- an agent fault: 5xx with the agent's version header: the agent itself said no
- lost: no response, or 5xx without that header (a gateway's own 503): the delivery is to blame

Standard library only: it runs as a script anywhere, and `await run(Plan(...), stop)` in a bench or a test.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import random
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

VERSION_HEADER = b"x-agent-version"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.I)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.I)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.I)
_VERSION = re.compile(rb"\r\n" + VERSION_HEADER + rb":[ \t]*([^\r\n]*)", re.I)


@dataclass(frozen=True)
class Plan:
    """What to send. `seconds` and `rate` (requests a second) bound it; shares are between 0 and 1."""

    url: str
    rate: float = 200.0
    seconds: float = 10.0
    post_share: float = 0.5
    fresh_share: float = 0.1  # these use a connection of their own, closed afterwards
    timeout_s: float = 5.0
    connections: int = 256  # the most at once; beyond it requests wait, and their latency shows it
    get_path: str = "/"
    post_path: str = "/logs"
    headers: tuple[tuple[str, str], ...] = ()
    seed: int = 1
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @property
    def count(self) -> int:
        """How many requests the schedule holds."""
        return int(self.rate * self.seconds)


MOST_TOLD = 1000
"""Lost requests whose times (unix seconds) are told."""


class Record(NamedTuple):
    """One request. Times in seconds since the start of the run; `status` 0: no response, and `error` says why."""

    number: int
    method: str
    scheduled: float
    sent: float
    ended: float
    status: int
    version: str
    error: str

    @property
    def latency(self) -> float:
        """Seconds from the scheduled moment to the end of the response."""
        return self.ended - self.scheduled

    @property
    def lost(self) -> bool:
        """No response, or a 5xx that no agent gave."""
        return self.status == 0 or (self.status >= 500 and not self.version)

    @property
    def fault(self) -> bool:
        """The agent itself answered 5xx."""
        return self.status >= 500 and bool(self.version)


@dataclass
class Report:
    """All requests of a run. `started_at` is in unix seconds."""

    plan: Plan
    started_at: float
    records: list[Record] = field(default_factory=list)

    def acknowledged(self) -> list[str]:
        """The ids of the records that were answered with 202: each of them must be found at the sink."""
        return [f"{self.plan.run_id}-{record.number}" for record in self.records if record.status == 202]

    def lost(self) -> list[Record]:
        """The lost requests."""
        return [record for record in self.records if record.lost]

    def faults(self) -> list[Record]:
        """The agents' own faults."""
        return [record for record in self.records if record.fault]

    def of(self, version: str) -> list[Record]:
        """The requests that this version answered."""
        return [record for record in self.records if record.version == version]

    def summary(self) -> dict[str, Any]:
        """The run as plain data; times in milliseconds where the name says so."""
        statuses = collections.Counter(record.status for record in self.records)
        versions = {
            version: {"answers": len(these), "faults": sum(record.fault for record in these), **_spread(these)}
            for version in sorted({record.version for record in self.records})
            if (these := self.of(version))
        }
        return {
            "run_id": self.plan.run_id,
            "url": self.plan.url,
            "rate": self.plan.rate,
            "started_at": self.started_at,
            "requests": len(self.records),
            "lost": len(self.lost()),
            "lost_reasons": dict(collections.Counter(r.error or f"status {r.status}" for r in self.lost())),
            "lost_at": [round(self.started_at + r.ended, 3) for r in self.lost()[:MOST_TOLD]],
            "agent_faults": len(self.faults()),
            "acknowledged": len(self.acknowledged()),
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "versions": versions,
            **_spread(self.records),
            "late_ms_max": round(max((r.sent - r.scheduled for r in self.records if r.status), default=0.0) * 1000, 3),
        }


def _spread(records: list[Record]) -> dict[str, float]:
    latencies = sorted(record.latency for record in records if record.status)
    if not latencies:
        return {}
    at = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    return {
        name: round(latencies[min(len(latencies) - 1, int(q * len(latencies)))] * 1000, 3) for name, q in at.items()
    }


class _Connection(asyncio.Protocol):
    """One connection: at most one request at a time, `done(status, version, error)` once for each."""

    def __init__(self, closed: Callable[["_Connection"], None]) -> None:
        self._closed = closed
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.done: Callable[[int, str, str], None] | None = None
        self.usable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, data: bytes, done: Callable[[int, str, str], None]) -> None:
        assert self.transport is not None
        self.done = done
        self._buffer.clear()
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._look(ended=False)

    def _look(self, ended: bool) -> None:
        head = self._buffer.find(b"\r\n\r\n")
        while head >= 0 and self._buffer.startswith(b"HTTP/1.1 1"):  # 1xx: the answer proper follows
            del self._buffer[: head + 4]
            head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        top = bytes(self._buffer[: head + 2])
        if not self._whole(top, head + 4, ended):
            return
        if _CLOSE.search(top) or top.startswith(b"HTTP/1.0"):
            self.usable = False
        version = _VERSION.search(top)
        status = int(top[9:12]) if top[9:12].isdigit() else 0
        self._finish(status, version[1].decode("latin-1") if version else "", "" if status else "not HTTP")

    def _whole(self, top: bytes, body: int, ended: bool) -> bool:
        if _CHUNKED.search(top):
            return self._buffer.endswith(b"0\r\n\r\n", body)
        length = _LENGTH.search(top)
        if length is None:
            return ended or top[9:12] in (b"204", b"304")
        return len(self._buffer) - body >= int(length[1])

    def connection_lost(self, problem: Exception | None) -> None:
        self.usable = False
        if problem is None and self.done is not None:
            self._look(ended=True)  # an answer without a length ends with its connection
        self._finish(0, "", type(problem).__name__ if problem else "closed without an answer")
        self._closed(self)

    def fail(self, error: str) -> None:
        self.usable = False
        self._finish(0, "", error)
        if self.transport is not None:
            self.transport.abort()

    def _finish(self, status: int, version: str, error: str) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(status, version, error)


class _Run:
    """The state of one run; everything happens on the event loop's thread."""

    def __init__(self, plan: Plan) -> None:
        target = urlsplit(plan.url)
        if target.scheme != "http" or not target.hostname:
            raise ValueError(f"{plan.url}: expected http://host:port")
        self.plan = plan
        self.host, self.port = target.hostname, target.port or 80
        more = "".join(f"{name}: {value}\r\n" for name, value in plan.headers)
        self.common = f"Host: {target.netloc}\r\n{more}"
        self.idle: list[_Connection] = []
        self.open: set[_Connection] = set()
        self.slots = asyncio.Semaphore(plan.connections)
        self.flying: dict[int, tuple[float, _Connection]] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.began = time.monotonic()
        self.report = Report(plan, time.time())

    def now(self) -> float:
        return time.monotonic() - self.began

    def schedule(self) -> Iterator[tuple[int, float, str, bool]]:
        chance = random.Random(self.plan.seed)
        for number in range(self.plan.count):
            method = "POST" if chance.random() < self.plan.post_share else "GET"
            yield number, number / self.plan.rate, method, chance.random() < self.plan.fresh_share

    def request(self, number: int, method: str, fresh: bool) -> bytes:
        close = "Connection: close\r\n" if fresh else ""
        if method == "GET":
            return f"GET {self.plan.get_path} HTTP/1.1\r\n{self.common}{close}\r\n".encode()
        name = f"{self.plan.run_id}-{number}"
        body = f'{{"id": "{name}", "line": "load {name}"}}'
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"POST {self.plan.post_path} HTTP/1.1\r\n{self.common}{kind}{close}\r\n{body}".encode()

    def start(self, item: tuple[int, float, str, bool]) -> None:
        fresh = item[3]
        while self.idle and not fresh:
            connection = self.idle.pop()
            if connection.usable and connection.transport is not None and not connection.transport.is_closing():
                self.send(connection, item)
                return
        task = asyncio.ensure_future(self.connect(item))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, item: tuple[int, float, str, bool]) -> None:
        try:
            async with asyncio.timeout(self.plan.timeout_s):
                await self.slots.acquire()
                try:
                    loop = asyncio.get_running_loop()
                    _, connection = await loop.create_connection(lambda: _Connection(self.closed), self.host, self.port)
                except BaseException:
                    self.slots.release()
                    raise
        except OSError as problem:  # TimeoutError is one
            number, scheduled, method, _ = item
            now = self.now()
            error = f"connect: {type(problem).__name__}"
            self.report.records.append(Record(number, method, scheduled, now, now, 0, "", error))
            return
        self.open.add(connection)
        self.send(connection, item)

    def send(self, connection: _Connection, item: tuple[int, float, str, bool]) -> None:
        number, scheduled, method, fresh = item
        sent = self.now()

        def done(status: int, version: str, error: str) -> None:
            self.flying.pop(number, None)
            record = Record(number, method, scheduled, sent, self.now(), status, version, error)
            self.report.records.append(record)
            if fresh or not connection.usable:
                if connection.transport is not None:
                    connection.transport.close()
            else:
                self.idle.append(connection)

        self.flying[number] = (sent, connection)
        connection.send(self.request(number, method, fresh), done)

    def closed(self, connection: _Connection) -> None:
        if connection in self.open:
            self.open.discard(connection)
            self.slots.release()
        with contextlib.suppress(ValueError):
            self.idle.remove(connection)

    def expire(self) -> None:
        limit = self.now() - self.plan.timeout_s
        for sent, connection in list(self.flying.values()):
            if sent > limit:
                break  # in order of sending
            connection.fail("timed out")


async def run(plan: Plan, stop: asyncio.Event | None = None) -> Report:
    """Send the plan's schedule, or as much of it as is due until `stop`, then wait for what is on its way."""
    this = _Run(plan)
    swept = 0.0
    for item in this.schedule():
        while (wait := item[1] - this.now()) > 0 and not (stop is not None and stop.is_set()):
            await asyncio.sleep(min(wait, 0.1))
        if stop is not None and stop.is_set():
            break
        this.start(item)
        if item[0] % 64 == 63:
            await asyncio.sleep(0)  # a schedule that fell behind must not starve the answers
        if this.now() - swept > 0.1:
            this.expire()
            swept = this.now()
    while this.flying or this.tasks:
        this.expire()
        await asyncio.sleep(0.005)
    for connection in list(this.open):
        if connection.transport is not None:
            connection.transport.close()
    this.report.records.sort()
    return this.report


async def _main(given: argparse.Namespace) -> Report:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    shares = {"post_share": given.post_share, "fresh_share": given.fresh_share}
    return await run(Plan(given.url, given.rate, given.seconds, timeout_s=given.timeout_s, **shares), stop)


def main() -> int:
    """Print the summary as JSON; exit code 0 when nothing was lost, 1 otherwise, 2 for wrong usage."""
    parser = argparse.ArgumentParser(description="An open-loop load whose lost requests are counted.")
    parser.add_argument("url", help="http://host:port")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--post-share", type=float, default=0.5)
    parser.add_argument("--fresh-share", type=float, default=0.1, help="share of requests on a connection of their own")
    parser.add_argument("--timeout-s", type=float, default=5.0)
    parser.add_argument("--records", type=Path, help="write each request to this file as a line of JSON")
    given = parser.parse_args()
    try:
        report = asyncio.run(_main(given))
    except ValueError as problem:
        parser.error(str(problem))
    if given.records:
        given.records.write_text("".join(json.dumps(record._asdict()) + "\n" for record in report.records))
    print(json.dumps(report.summary(), indent=2))
    return 1 if report.lost() else 0


if __name__ == "__main__":
    sys.exit(main())
