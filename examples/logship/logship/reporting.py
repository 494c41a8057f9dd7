"""Heartbeats by Tidegate's SDK, where the image has it; without it, or without TIDEGATE_URL, there are none."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

from logship import VERSION, logs
from logship.metrics import Metrics


@contextlib.asynccontextmanager
async def reporting(metrics: Metrics, failing: Callable[[], str], stopping: asyncio.Event) -> AsyncIterator[None]:
    """Report while the block runs; `failing` gives the reason for "degraded" or "". A `drain` sets `stopping`."""
    loop = asyncio.get_running_loop()
    try:
        from tidegate.sdk import AsyncAgent
    except ImportError:
        logs.write("info", "no_heartbeats", reason="tidegate.sdk is not in this image")
        _take_signals(loop, stopping)
        yield
        return
    agent = AsyncAgent("logship", VERSION)
    for name in metrics.gauges:
        agent.metrics.gauge(f"logship_{name}", read=metrics.gauges[name])
    for name in [series for series in metrics.counters if "{" not in series]:
        agent.metrics.gauge(name, read=lambda name=name: metrics.counters[name])

    async def tell() -> None:
        told = ""
        while not stopping.is_set():
            if (reason := failing()) != told:
                agent.status("degraded" if reason else "ok", reason)
                told = reason
            await asyncio.sleep(0.5)

    async def drain() -> None:
        await agent.stopping.wait()
        stopping.set()

    async def leave() -> None:
        await stopping.wait()
        agent.ask_to_stop("asked to stop")  # told now, not only when the spool is empty

    async with agent:
        _take_signals(loop, stopping)  # ours, not the SDK's: it is this agent that knows how to empty its spool
        tasks = [asyncio.create_task(tell()), asyncio.create_task(drain()), asyncio.create_task(leave())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def _take_signals(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
