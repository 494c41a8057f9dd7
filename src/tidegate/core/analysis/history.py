"""Stable's past beside a candidate that has the place to itself (in_place): its last minutes, second by second.

Each new block gets what stable did as long after the past began as the candidate is watched now. So the comparison uses
each second of the past once, with all its variation, and ends where the past does. It holds as far as the past is like
the present: a busy hour is no yardstick for a quiet one, and whoever reads the verdict is told that it was the past.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from tidegate.model.observation import Block


def usable(past: Sequence[Block], stable: int) -> tuple[Block, ...]:
    """The blocks of the past in which stable did something."""
    return tuple(block for block in past if stable in block.traffic or any(stable in v for v in block.values.values()))


def beside(blocks: Sequence[Block], past: Sequence[Block], stable: int, since: float) -> tuple[Block, ...]:
    """The blocks with stable's part from the past; as they are where the past is over."""
    known = usable(past, stable)
    ends = [block.at for block in known]
    return tuple(_with(block, known, ends, stable, since) for block in blocks)


def _with(block: Block, past: Sequence[Block], ends: Sequence[float], stable: int, since: float) -> Block:
    if not past:
        return block
    index = bisect_left(ends, past[0].at + (block.at - since) - past[0].duration_s / 2)
    if index >= len(past) or block.at < since:
        return block
    then = past[index]
    traffic = {**block.traffic, **({stable: then.traffic[stable]} if stable in then.traffic else {})}
    values = {metric: {**block.values.get(metric, {}), **_of(then, metric, stable)} for metric in
              {*block.values, *then.values}}  # fmt: skip
    return replace(block, traffic=traffic, values=values)


def _of(block: Block, metric: str, revision: int) -> dict[int, float]:
    known = block.values.get(metric, {})
    return {revision: known[revision]} if revision in known else {}
