"""The life of the agent: start, serve until SIGTERM, empty the spool, end. `python -m logship`."""

import asyncio
import os
import sys
import time
from pathlib import Path

from logship import logs
from logship.app import App, gauges
from logship.metrics import Metrics
from logship.reporting import reporting
from logship.settings import BadSettings, Settings, load
from logship.ship import Shipper
from logship.spool import Spool
from logship.tail import Follower
from logship.web import Server

ADOPT_EVERY_S = 5.0


async def serve(settings: Settings, began: float) -> bool:
    """Run until asked to stop; True when nothing that was accepted is left behind."""
    state = Path(settings.state_dir)
    spool = Spool(state / "spool", int(settings.spool_mb * 1e6), settings.fsync)
    metrics = Metrics(gauges(spool))
    shipper = Shipper(settings, spool, metrics)
    app = App(spool, shipper, metrics)
    server = Server(app.handle, int(settings.body_mb * 1e6))
    stopping = asyncio.Event()

    async def emit(records: list[bytes]) -> None:
        spool.append(records)
        await spool.settle()
        metrics.count("lines_accepted", len(records), source="file")

    async def adopt() -> None:
        while True:
            if lines := spool.adopt():
                logs.write("info", "adopted", lines=lines)
            await asyncio.sleep(ADOPT_EVERY_S)

    patterns = [pattern.strip() for pattern in settings.files.split(",") if pattern.strip()]
    async with reporting(metrics, lambda: shipper.failing, stopping):
        port = await server.start(settings.host, settings.port)
        work = [asyncio.create_task(shipper.run()), asyncio.create_task(adopt())]
        if patterns:
            work.append(asyncio.create_task(Follower(patterns, state, emit).run()))
        logs.write("info", "started", port=port, ms=round((time.monotonic() - began) * 1000), files=patterns)
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait({asked, *work}, return_when=asyncio.FIRST_COMPLETED)
        broken = [str(task.exception()) for task in work if task.done()]
        logs.write("error" if broken else "info", "stopping", waiting_lines=spool.lines, broken=broken)

        app.stopping = True  # /ready says 503; requests that are still on their way are still taken
        server.closing = True  # and each answer from now on is the last one on its connection
        await asyncio.sleep(settings.linger_s)
        await server.stop(most_s=1.0)
        for task in work[1:]:
            task.cancel()
        shipper.hurry.set()
        await _until_empty(spool, settings.stop_s)
        work[0].cancel()
        await asyncio.gather(*work, return_exceptions=True)
        left = spool.lines
        empty = spool.close()
        logs.write("info" if empty else "error", "stopped", left_in_spool=left, spool=str(state / "spool"))
        return empty and not broken


async def _until_empty(spool: Spool, most_s: float) -> None:
    deadline = time.monotonic() + most_s
    while spool.lines and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


def main() -> int:
    """Exit code 0: everything accepted was shipped. 1: lines wait in the spool for the next start. 2: bad settings."""
    began = time.monotonic()
    try:
        settings = load(os.environ)
    except BadSettings as problem:
        logs.write("error", "bad_settings", reason=str(problem))
        return 2
    try:
        return 0 if asyncio.run(serve(settings, began)) else 1
    except OSError as problem:  # the port is taken, the state directory cannot be written
        where = problem.filename or f"{settings.host}:{settings.port}"
        logs.write("error", "cannot_start", reason=f"{where}: {problem.strerror or problem}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
