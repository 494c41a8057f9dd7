"""From the decision, its commit to disk included, to the last request in the bad version's own log.

The bad version has half of the traffic; the clients keep their connections (nine of ten) and retry nothing. The
decision's moment is what the loop stamped before it wrote the decision down; the last request's is from the log that
the bad version itself writes when it has read a request.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from bench.rows import Row, median, quantile
from bench.tide import Tide, paused, settled, tide
from tests.engine import Engine
from tidegate.model.spec import Canary, Pause, SetWeight

ABORTS = int(os.environ.get("TIDEGATE_BENCH_ABORTS", "100"))
RATE = 300.0
WATCH_S = 0.3
STEADY = Canary(steps=(SetWeight(100),), bake_s=0.0, drain_s=5.0)
HALF = Canary(steps=(SetWeight(50), Pause(None)), bake_s=0.0, drain_s=5.0)


async def _one(tidegate: Tide, version: str) -> tuple[float, float, int]:
    """Seconds from decision and from asking to the last request, and how many requests the bad version had."""
    await tidegate.deploy(version, HALF)
    await tidegate.until(paused)
    await asyncio.sleep(WATCH_S)
    asked = await tidegate.abort()
    state = await tidegate.until(settled)
    rollout = state.rollout
    assert rollout is not None
    assert rollout.decided_at is not None, rollout
    requests = [float(line) for line in (tidegate.logs / f"{version}.log").read_text().split()]
    assert requests, "the bad version had no request"
    return max(requests) - rollout.decided_at, max(requests) - asked, len(requests)


async def _measure() -> list[Row]:
    with Engine() as engine, tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        async with tide(engine, Path(folder)) as tidegate:
            await tidegate.deploy("1.0.0", STEADY, replicas=1)
            await tidegate.until(settled)
            async with tidegate.load(RATE) as load:
                runs = [await _one(tidegate, f"bad-{number}") for number in range(ABORTS)]
            commits = list(tidegate.real.state.database.commits_ms)
    decided, asked = ([run[index] * 1000 for run in runs] for index in (0, 1))
    what = f"{ABORTS} aborts, {RATE:g} requests/s, half of them to the bad version, 90 % on kept connections"
    return [
        Row("decision to last request, p99", round(quantile(decided, 0.99), 1), "ms", "goal: < 100 ms"),
        Row("decision to last request, median", round(median(decided), 1), "ms", what),
        Row("decision to last request, worst", round(max(decided), 1), "ms", what),
        Row("asked to last request, p99", round(quantile(asked, 0.99), 1), "ms", "with the time until it is heard"),
        Row("commit of a decision, median", round(median(commits), 2), "ms", "part of the above"),
        Row(
            "requests lost during the aborts",
            float(load.report["lost"]),
            "requests",
            f"goal: 0 of {load.report['requests']}",
        ),
    ]


def measure() -> list[Row]:
    """The rows."""
    return asyncio.run(_measure())


if __name__ == "__main__":
    for row in measure():
        print(row)
