"""Blocks take the space that was promised, and damaged ones say so."""

import random

import pytest

from tidegate.adapters.store.journal import BATCH
from tidegate.adapters.store.packing import pack, unpack
from tidegate.model.observation import Block, Traffic

DAY_S = 86400
LIMIT_BYTES = 5_000_000


def measured(seconds: int) -> list[Block]:
    """Ten metrics: requests, errors and a latency histogram, and seven values with two decimals, for two revisions."""
    dice = random.Random(7)
    at, blocks = 1.7e9, []
    for _ in range(seconds):
        at += 1 + dice.gauss(0, 0.002)
        traffic = {}
        for revision in (1, 2):
            requests, latency = dice.randint(20, 60), [0] * 20
            for _ in range(requests):
                latency[min(19, max(0, round(dice.gauss(4, 1))))] += 1
            traffic[revision] = Traffic(requests, int(dice.random() < 0.1), tuple(latency))
        values = {f"m{n}": {revision: round(dice.gauss(50, 9), 2) for revision in (1, 2)} for n in range(7)}
        blocks.append(Block(at, 1.0, traffic, values))
    return blocks


def test_a_day_of_ten_metrics_takes_less_than_five_megabytes() -> None:
    batches = 10
    blocks = measured(batches * BATCH)
    size = sum(len(pack(blocks[start : start + BATCH])) for start in range(0, len(blocks), BATCH))
    assert size / (batches * BATCH) * DAY_S < LIMIT_BYTES


def test_a_damaged_batch_says_so() -> None:
    good = pack(measured(3))
    assert len(unpack(good)) == 3
    for bad in (b"", b"nonsense", good[:-9]):
        with pytest.raises(ValueError, match="damaged"):
            unpack(bad)
