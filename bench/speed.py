"""How long one block takes the decision engine: for ten metrics, and for 10,000 rollouts of ten metrics.

python bench/speed.py    writes bench/results/decisions_speed.json
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import numpy as np

from tidegate.core.stats import Block, shipped, stream
from tidegate.core.stats.stream import StreamPolicy

RESULT = Path(__file__).parent / "results" / "decisions_speed.json"


def second(shape: tuple[int, ...], seed: int = 1) -> Block:
    """A second at 50 requests/s."""
    rng = np.random.default_rng(seed)
    canary, stable = rng.poisson(5, shape), rng.poisson(45, shape)
    counts = (np.ones(shape), canary, stable, rng.binomial(canary, 0.05), rng.binomial(stable, 0.05))
    return Block(*(values.astype(float) for values in counts))


def timed(policy: StreamPolicy, shape: tuple[int, ...], repeats: int) -> float:
    """Median seconds of one update."""
    state, block = stream.opening(policy, shape), second(shape)
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        state = stream.update(policy, state, block)
        stream.value(policy, state)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def main() -> None:
    rows = []
    for name, policy in (("counts", shipped.count_policy()), ("shares", shipped.latency_policy())):
        one = timed(policy, (10,), 3000)
        many = timed(policy, (10_000, 10), 15)
        rows.append(
            {
                "kind": name,
                "ten_metrics_one_block_us": round(one * 1e6, 1),
                "10000_rollouts_x_10_metrics_one_block_ms": round(many * 1e3, 1),
                "share_of_a_core_at_one_block_a_second": round(many, 4),
            }
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"rows": rows, "peak_memory_mb": round(peak)}, indent=1) + "\n")
    print(RESULT.read_text(), end="")


if __name__ == "__main__":
    main()
