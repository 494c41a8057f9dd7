"""What a day of measurement costs in the state: 86,400 one-second blocks of ten metrics of both sides, in SQLite.

python -m bench.blocks    writes bench/results/blocks.json
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path

from bench.rows import Row, machine, write
from tidegate.adapters.store.opening import open_state
from tidegate.controller.metering import rounded
from tidegate.model.observation import LATENCY_BOUNDS_MS, Block, Traffic
from tidegate.model.release import AgentKey

KEY = AgentKey("agent", "prod")
SECONDS = 86_400
SEED = 1
GAUGES = {"cpu": 0.2, "memory": 0.4, "queue_s": 1.3, "silence_s": 2.5}
COUNTS = {"log_errors": 0.2, "orders": 3.0, "restarts": 0.0001, "lost_beats": 0.001}


def day(seconds: int = SECONDS) -> list[Block]:
    """Errors and latency (50 requests a second, lognormal) at the gateway, and eight metrics of other sources."""
    chance = random.Random(SEED)
    totals = {name: {1: 0.0, 2: 0.0} for name in COUNTS}
    blocks = []
    for second in range(seconds):
        values = {
            name: {r: rounded(mean * chance.lognormvariate(0, 0.2)) for r in (1, 2)} for name, mean in GAUGES.items()
        }
        for name, rate in COUNTS.items():
            for revision, known in totals[name].items():
                totals[name][revision] = known + sum(chance.random() < rate / 10 for _ in range(10))
            values[name] = dict(totals[name])
        at = 1_700_000_000 + second + chance.uniform(0, 0.004)
        blocks.append(Block(at, 1.0, {1: arm(chance, 45), 2: arm(chance, 5)}, values))
    return blocks


def arm(chance: random.Random, requests: int) -> Traffic:
    """A second of one side."""
    latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    count = sum(chance.random() < 0.5 for _ in range(2 * requests))
    for _ in range(count):
        took = chance.lognormvariate(4.79, 0.5)
        latency[next(i for i, bound in enumerate((*LATENCY_BOUNDS_MS, float("inf"))) if took <= bound)] += 1
    return Traffic(count, sum(chance.random() < 0.005 for _ in range(count)), tuple(latency))


async def measured(folder: Path) -> list[Row]:
    """The first ten minutes saved as the sampler saves them, ten at a time; the rest two minutes at a time."""
    state = await open_state(str(folder / "tidegate.db"))
    empty, blocks = size(folder), day()
    began = time.process_time()
    for start in range(0, 600, 10):
        await state.journal.add_blocks(KEY, blocks[start : start + 10])
    saved = (time.process_time() - began) / 60
    for start in range(600, len(blocks), 120):
        await state.journal.add_blocks(KEY, blocks[start : start + 120])
    began = time.process_time()
    again = await state.journal.blocks(KEY, 0, 2e10)
    read = time.process_time() - began
    assert again == blocks, "what comes back is what was saved"
    await state.close()
    megabytes = (size(folder) - empty) / 1e6
    return [
        Row(
            "a day of 1-s blocks of 10 metrics, both sides: the database grows by", round(megabytes, 2), "MB", "goal: 5"
        ),
        Row("saving ten blocks: processor time", round(1e3 * saved, 2), "ms", ""),
        Row("reading the day back: processor time", round(read, 2), "s", ""),
    ]


def size(folder: Path) -> int:
    """Bytes of the database with its log."""
    return sum(file.stat().st_size for file in folder.glob("tidegate.db*"))


def main() -> None:
    """Measure, and write it down."""
    about = machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measured(Path(folder)))
    for row in rows:
        print(f"{row.name}: {row.value:g} {row.unit} {row.compared_with}")
    about["load_average_after"] = machine()["load_average_1m"]
    write("blocks", {"blocks": rows}, {"blocks": about})


if __name__ == "__main__":
    main()
