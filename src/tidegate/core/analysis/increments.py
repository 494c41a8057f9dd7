"""From the values of one metric in blocks to what both arms did since the last measurement: windows of a metric.

Cumulative counts become increments; one that is lower than before was reset, and is then all that is known to have
happened. A window lasts `interval_s`, whatever the length of the blocks; where the source
was away it is longer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.model.judging import SequentialMetric
from tidegate.model.metering import GATEWAY, Form, buckets_in, exposure_of
from tidegate.model.observation import LATENCY_BOUNDS_MS, Block, Traffic


@dataclass(frozen=True)
class Arm:
    """What one arm did in a window. `k` of `n` are events; `mean` is of a bounded value; `buckets` of a histogram."""

    n: float = 0.0
    k: float = 0.0
    mean: float | None = None
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True)
class Window:
    """A measurement of both arms over `seconds`. `bounds` are those of the buckets, in the metric's unit."""

    seconds: float
    canary: Arm
    stable: Arm
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Meter:
    """What is remembered of one metric: `last` cumulative values (name -> revision), and the window under way.

    `sums` adds up each arm's increments or values since the window began; `missing` says why there was no data last.
    """

    last: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sums: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    missing: str = ""


SAMPLES = "#"
"""The sum that counts how many values of a mean were added up."""


def take(metric: SequentialMetric, meter: Meter, block: Block, arms: tuple[int, int]) -> tuple[Meter, Window | None]:
    """Add a block; the window when it is full. `arms` are the revisions of the canary and of stable."""
    if block.duration_s <= 0:
        return meter, None
    missing = block.missing.get(metric.source) or block.missing.get(f"{metric.source}/{metric.name}", "")
    if missing:
        return Meter(meter.last, meter.sums, meter.seconds + block.duration_s, missing), None
    last, sums = {k: dict(v) for k, v in meter.last.items()}, {k: dict(v) for k, v in meter.sums.items()}
    for name, by_revision in _values(metric, block).items():
        for revision in map(str, arms):
            if math.isfinite(by_revision.get(revision, math.nan)):
                value = by_revision[revision]
                into = sums.setdefault(name, {})
                into[revision] = into.get(revision, 0.0) + _grown(metric, last.get(name, {}).get(revision), value)
                last.setdefault(name, {})[revision] = value
    after = Meter({} if metric.source == GATEWAY else last, sums, meter.seconds + block.duration_s)
    if after.seconds < metric.interval_s - 1e-6:
        return after, None
    bounds = LATENCY_BOUNDS_MS if metric.source == GATEWAY else tuple(b for b, _ in buckets_in(sums, metric.name))
    canary, stable = (_arm(metric, sums, str(number)) for number in arms)
    window = Window(after.seconds, canary, stable, bounds)
    return Meter(after.last), window


def _grown(metric: SequentialMetric, before: float | None, value: float) -> float:
    """What a value adds to its window: the gateway's are increments already, a mean's are added up as they are."""
    if metric.source == GATEWAY or metric.form is Form.MEAN:
        return value
    if before is None:
        return 0.0
    return value - before if value >= before else value


def _values(metric: SequentialMetric, block: Block) -> dict[str, dict[str, float]]:
    """Name -> revision (as text, for JSON) -> value, of everything that belongs to the metric."""
    if metric.source == GATEWAY:
        return _of_traffic(metric, block.traffic)
    names = {metric.name, exposure_of(metric.name), *(name for _, name in buckets_in(block.values, metric.name))}
    found = {n: {str(revision): value for revision, value in block.values.get(n, {}).items()} for n in names}
    if metric.form is Form.MEAN:
        found[SAMPLES] = dict.fromkeys(found[metric.name], 1.0)
    return found


def _of_traffic(metric: SequentialMetric, traffic: Mapping[int, Traffic]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {metric.name: {}, exposure_of(metric.name): {}}
    for revision, one in traffic.items():
        found[metric.name][str(revision)] = float(min(one.errors, one.requests))
        found[exposure_of(metric.name)][str(revision)] = float(one.requests)
        for index, count in enumerate(one.latency):
            found.setdefault(f"{metric.name}/{index}", {})[str(revision)] = float(count)
    return found


def _arm(metric: SequentialMetric, sums: Mapping[str, Mapping[str, Any]], revision: str) -> Arm:
    def of(name: str) -> float:
        return float(sums.get(name, {}).get(revision, 0.0))

    match metric.form:
        case Form.MEAN:
            samples = of(SAMPLES)
            return Arm(samples, mean=of(metric.name) / samples if samples else None)
        case Form.HISTOGRAM if metric.source == GATEWAY:
            buckets = tuple(of(f"{metric.name}/{index}") for index in range(len(LATENCY_BOUNDS_MS) + 1))
            return Arm(sum(buckets), buckets=buckets)
        case Form.HISTOGRAM:
            upto = [of(name) for _, name in buckets_in(sums, metric.name)]
            upto.append(max([of(metric.name), *upto]))
            return Arm(upto[-1], buckets=tuple(max(b - a, 0.0) for a, b in zip([0.0, *upto], upto, strict=False)))
        case _:
            return Arm(of(exposure_of(metric.name)), of(metric.name))
