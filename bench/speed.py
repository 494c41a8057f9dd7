"""How long a tick takes the decision engine: for ten metrics, and for 10,000 rollouts of ten metrics.

python bench/speed.py    writes bench/results/decisions_speed.json

Ten metrics are nine counts (errors, restarts, heartbeats ...) and one latency histogram. A tick of 1 s holds one block,
one of 5 s holds five. What a row's tick is stands in it: the evidence alone (all blocks of all metrics and E of each,
the nine counts as one array), or all that a rollout does with a block (`whole`: increments from cumulative counts,
evidence and proof of errors and latency, evidence of eight metrics of their own, each by itself, the plain form of all
that for the store, and the verdict with its sentence).
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tidegate.core import analysis
from tidegate.core.stats import Block, histograms, shipped, stream
from tidegate.model import observation
from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import exposure_of
from tidegate.model.release import Image, Release, Revision
from tidegate.model.rollout import Phase, Rollout
from tidegate.model.spec import Analysis, Canary, Rollback
from tidegate.model.workload import Route, Workload

RESULT = Path(__file__).parent / "results" / "decisions_speed.json"
COUNTS, BLOCKS = 9, 5


def second(shape: tuple[int, ...], seed: int = 1) -> Block:
    """A second at 50 requests/s."""
    rng = np.random.default_rng(seed)
    canary, stable = rng.poisson(5, shape), rng.poisson(45, shape)
    counts = (np.ones(shape), canary, stable, rng.binomial(canary, 0.05), rng.binomial(stable, 0.05))
    return Block(*(values.astype(float) for values in counts))


def tick(rollouts: tuple[int, ...], blocks: int) -> Callable[[], None]:
    """What one tick does: all blocks of all metrics, then the evidence."""
    counted, timed = shipped.count_policy(), shipped.latency_policy()
    streams, latency = stream.opening(counted, (*rollouts, COUNTS)), histograms.opening(timed, rollouts)
    block, one = second((*rollouts, COUNTS)), np.ones(rollouts)
    cells = np.random.default_rng(2).multinomial(45, timed.nominal, rollouts or None).T.astype(float)
    for _ in range(200):
        latency = histograms.learn(timed, latency, one, cells)
        streams = stream.learn(counted, streams, block)

    def run() -> None:
        nonlocal streams, latency
        for _ in range(blocks):
            streams = stream.update(counted, streams, block)
            latency = histograms.update(timed, latency, one, (np.round(cells / 9), cells))
        stream.value(counted, streams), histograms.value(timed, latency)

    return run


def whole() -> Callable[[], None]:
    """What a rollout of ten metrics does with a second: errors and latency from the gateway, eight counts of others."""
    metrics = tuple(SequentialMetric(f"count{number}", "logs", "level>=error") for number in range(8))
    base = Workload(routes=(Route(8080, 80),))
    candidate = Revision(2, "bench", Release("id", "bench", "2", Image("bench:2"), base), base)
    rollout = Rollout("r", candidate, Canary(), Analysis((), streams=metrics), Rollback(), 0.0, Phase.PROGRESSING)

    def at(second: int) -> observation.Block:
        values = {}
        for metric in metrics:
            values[metric.name] = {1: float(second // 20), 2: float(second // 60)}
            values[exposure_of(metric.name)] = {1: 9.0 * second, 2: 1.0 * second}
        arms = {1: (45, (0, 0, 0, 30, 10, 5)), 2: (5, (0, 0, 0, 3, 1, 1))}
        traffic = {arm: observation.Traffic(n, 0, (*cells, *[0] * 14)) for arm, (n, cells) in arms.items()}
        return observation.Block(float(second), 1.0, traffic, values)

    now = analysis.begin(rollout, 0.0, tuple(at(second) for second in range(-200, 0)), 1)
    second = 0

    def run() -> None:
        nonlocal now, second
        second += 1
        now = analysis.take(now, (at(second),), 1)
        analysis.judge(now, 1, float(second), True)

    return run


def seconds(run: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Median wall and processor seconds of one run."""
    taken = []
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        run()
        taken.append((time.perf_counter() - started, time.process_time() - used))
    wall, processor = np.median(np.array(taken), axis=0)
    return float(wall), float(processor)


def main() -> None:
    rows: list[dict[str, object]] = []
    for blocks in (1, BLOCKS):
        wall, processor = seconds(tick((), blocks), 1000)
        many, used = seconds(tick((10_000,), blocks), 9)
        rows.append(
            {
                "tick": f"the evidence of {blocks} block{'s' * (blocks > 1)} of 1 s, and E of each metric",
                "blocks_in_a_tick": blocks,
                "ten_metrics_us": round(wall * 1e6, 1),
                "ten_metrics_processor_us": round(processor * 1e6, 1),
                "10000_rollouts_x_10_metrics_ms": round(many * 1e3, 1),
                "10000_rollouts_x_10_metrics_processor_ms": round(used * 1e3, 1),
                "share_of_a_core": round(used / blocks, 4),
            }
        )
    wall, processor = seconds(whole(), 500)
    row: dict[str, object] = {"tick": "whole: from one block of 1 s to the verdict and the plain form for the store"}
    row |= {"blocks_in_a_tick": 1, "ten_metrics_us": round(wall * 1e6, 1)}
    row |= {"ten_metrics_processor_us": round(processor * 1e6, 1)}
    rows.append(row)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    about = {"peak_memory_mb": round(peak), "load_average_1m": round(os.getloadavg()[0], 2)}
    RESULT.write_text(json.dumps({"rows": rows, **about}, indent=1) + "\n")
    print(RESULT.read_text(), end="")


if __name__ == "__main__":
    main()
