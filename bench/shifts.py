"""Requests lost in 100 changes of weight and in 20 releases, at a stated share of what gateway and agents can carry.

The weights are the hundred from 1 % to 100 %, one after the other. First the capacity: the open-loop client's rate is
raised until half of the requests take longer than 25 ms, counted from the scheduled moment, or one is lost. Client,
gateway, agents, engine and controller share one machine, so this is the capacity of the whole chain here; the gateway's
own is higher, and is stated from the processor time that it takes for a request.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from bench.rows import Row, median
from bench.tide import Tide, settled, tide
from tests.engine import Engine
from tidegate.model.event import EventKind
from tidegate.model.spec import Canary, Pause, SetWeight

CHANGES = int(os.environ.get("TIDEGATE_BENCH_CHANGES", "100"))
RELEASES = int(os.environ.get("TIDEGATE_BENCH_RELEASES", "20"))
RATES = (400, 600, 900, 1300, 1900, 2800, 4000)
STEP_S = 2.5
SLOW_MS = 25.0
SHARE = 0.5
AT_ONCE = Canary(steps=(SetWeight(100),), bake_s=0.0, drain_s=5.0)
HALVES = Canary(steps=(SetWeight(50),), bake_s=0.0, drain_s=5.0)
WEIGHTS = tuple(step for weight in range(1, CHANGES) for step in (SetWeight(weight), Pause(0.02)))


async def _capacity(tidegate: Tide) -> tuple[float, float]:
    """The highest rate that was carried (requests a second), and the gateway's processor seconds for a request."""
    carried, cost = 0.0, 0.0
    for rate in RATES:
        before = _gateway_s(tidegate.real.engine)
        async with tidegate.load(rate, STEP_S) as load:
            pass
        answered = int(load.report["requests"]) - int(load.report["lost"])
        if load.report["lost"] or float(load.report["p50_ms"]) > SLOW_MS:
            break
        carried, cost = rate, (_gateway_s(tidegate.real.engine) - before) / answered
    return carried, cost


def _gateway_s(engine: Engine) -> float:
    """Processor seconds that the gateway has taken so far."""
    pid = engine.docker("inspect", "-f", "{{.State.Pid}}", "tidegate-gateway-1").strip()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _measure() -> list[Row]:
    with Engine() as engine, tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        async with tide(engine, Path(folder)) as tidegate:
            await tidegate.deploy("1.0.0", AT_ONCE, replicas=2)
            await tidegate.until(settled)
            carried, cost = await _capacity(tidegate)
            rate = max(SHARE * carried, 100.0)
            async with tidegate.load(rate) as changing:
                await tidegate.deploy("1.1.0", Canary(steps=WEIGHTS, bake_s=0.0, drain_s=5.0), replicas=2)
                await tidegate.until(settled)
            changes = sum(event.kind is EventKind.WEIGHT for event in await tidegate.events()) - 1
            took = []
            async with tidegate.load(rate) as releasing:
                for number in range(RELEASES):
                    began = time.monotonic()
                    await tidegate.deploy(f"2.{number}.0", HALVES, replicas=2)
                    await tidegate.until(settled)
                    took.append(time.monotonic() - began)
    of_chain = f"{rate:g} requests/s, {100 * rate / max(carried, 1):.0f} % of the chain's capacity"
    threads = min(4, os.cpu_count() or 1)
    return [
        Row(
            "capacity of client, gateway and agents together",
            carried,
            "requests/s",
            f"the highest rate with a median latency within {SLOW_MS:g} ms",
        ),
        Row("gateway's processor time a request", round(cost * 1e6, 1), "us", f"{threads} threads"),
        Row(
            "load as a share of the gateway's own capacity",
            round(100 * rate * cost / threads, 1),
            "%",
            f"{rate:g} requests/s of {threads / cost if cost else 0:,.0f}",
        ),
        Row(
            f"requests lost in {changes} weight changes",
            float(changing.report["lost"]),
            "requests",
            f"goal: 0 of {changing.report['requests']}, {of_chain}",
        ),
        Row(
            f"requests lost in {RELEASES} releases",
            float(releasing.report["lost"]),
            "requests",
            f"goal: 0 of {releasing.report['requests']}, {of_chain}",
        ),
        Row("p99 during the weight changes", float(changing.report["p99_ms"]), "ms", "from the scheduled moment"),
        Row("p99 during the releases", float(releasing.report["p99_ms"]), "ms", "from the scheduled moment"),
        Row("a release of two instances under load", round(median(took) * 1000), "ms", "until the former is gone"),
    ]


def measure() -> list[Row]:
    """The rows."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for row in measure():
        print(row)
