"""Takes batches from the spool to the sink, one at a time, until the sink has them."""

import asyncio
import contextlib
import http.client
import os
import random
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from logship import VERSION, logs
from logship.metrics import Metrics
from logship.settings import Settings
from logship.spool import Batch, Spool

TIMEOUT_S = 5.0
FIRST_WAIT_S, MOST_WAIT_S = 0.1, 10.0


class NotTaken(Exception):
    """The sink did not take a batch. `smaller`: it may take a smaller one; `wait_s`: what it asked us to wait."""

    def __init__(self, reason: str, smaller: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.smaller, self.wait_s = smaller, wait_s


class Sink:
    """Where batches go. `put` blocks, and is called on a thread, one call at a time."""

    def __init__(self, settings: Settings) -> None:
        self._target = urlsplit(settings.sink)
        self._headers = {"Content-Type": "application/x-ndjson", "User-Agent": f"logship/{VERSION}"}
        if settings.sink_token:
            self._headers["Authorization"] = f"Bearer {settings.sink_token}"
        self._connection: http.client.HTTPConnection | None = None

    def put(self, data: bytes) -> None:
        """Return once the sink has the records; raises NotTaken or OSError."""
        if self._target.scheme == "file":
            descriptor = os.open(Path(self._target.path), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
            return
        try:
            response, body = self._post(data)
        except (OSError, http.client.HTTPException) as problem:
            self.close()
            raise NotTaken(type(problem).__name__) from problem
        if not 200 <= response.status < 300:
            wait = response.getheader("Retry-After", "")
            seconds = min(float(wait), 60.0) if wait.isascii() and wait.isdigit() else 0.0
            raise NotTaken(f"{response.status} {body[:200]!r}", response.status == 413, seconds)

    def _post(self, data: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is None:
            host, port = self._target.hostname or "", self._target.port
            if self._target.scheme == "https":
                context = ssl.create_default_context()
                self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        path = (self._target.path or "/") + (f"?{self._target.query}" if self._target.query else "")
        self._connection.request("POST", path, data, self._headers)
        response = self._connection.getresponse()
        return response, response.read(65536)

    def close(self) -> None:
        """Drop the connection; the next `put` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Shipper:
    """The loop that empties the spool. `failing` is the reason while the sink does not take anything, else empty."""

    def __init__(self, settings: Settings, spool: Spool, metrics: Metrics) -> None:
        self._settings, self._spool, self._metrics = settings, spool, metrics
        self._sink = Sink(settings)
        self._lines = settings.batch_lines
        self.failing = ""
        self.hurry = asyncio.Event()  # stopping: do not wait for a batch to fill

    async def run(self) -> None:
        """Ship until cancelled."""
        failures = 0
        while True:
            batch = self._spool.peek(self._lines)
            if batch is None:
                self._spool.added.clear()
                await self._spool.added.wait()
                continue
            if batch.lines < self._lines and not failures:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.batch_s):
                        await self.hurry.wait()
                batch = self._spool.peek(self._lines) or batch
            if await self._ship(batch):
                failures = 0
                continue
            failures += 1
            # Doubling with "equal jitter": half of the wait is random, so that many agents do not return in step.
            wait = min(MOST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
            await asyncio.sleep(max(wait, self._asked_wait))

    async def _ship(self, batch: Batch) -> bool:
        self._asked_wait = 0.0
        try:
            await asyncio.to_thread(self._sink.put, batch.data)
        except (NotTaken, OSError) as problem:
            if isinstance(problem, NotTaken):
                self._asked_wait = problem.wait_s
                if problem.smaller and batch.lines > 1:
                    self._lines = max(1, batch.lines // 2)
            if not self.failing:
                logs.write("warning", "sink_failing", reason=str(problem), waiting_lines=self._spool.lines)
            self.failing = str(problem) or type(problem).__name__
            self._metrics.count("ship_failures")
            return False
        self._spool.taken(batch)
        self._metrics.count("lines_shipped", batch.lines)
        if self.failing:
            logs.write("info", "sink_well_again", waiting_lines=self._spool.lines)
            self.failing = ""
        return True
