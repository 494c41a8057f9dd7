"""Recorded series as blocks, so that any policy can be replayed over measurements that Tidegate never took.

One row is one value: `at`, `track` (stable or candidate), `metric`, `value`. docs/how-to/replay.md is the contract.
Counts are `requests`, `errors` and `latency_le_BOUND` (milliseconds), each of what happened since the row before; with
`_total` behind the name they are cumulative, and a reset is tolerated. Every other metric is a value as of then.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tidegate.model.errors import MetricError
from tidegate.model.metering import GATEWAY, Form, exposure_of
from tidegate.model.observation import LATENCY_BOUNDS_MS, Block, Traffic
from tidegate.model.spec import Analysis

STABLE, CANDIDATE = 1, 2
TRACKS = dict.fromkeys(("stable", "control", "baseline", "primary"), STABLE)
TRACKS |= dict.fromkeys(("candidate", "canary", "experiment"), CANDIDATE)
UNITS = ((1e17, 1e9, "nanoseconds"), (1e14, 1e6, "microseconds"), (1e11, 1e3, "milliseconds"))
"""Times beyond the first are no seconds: how many of the unit make one."""
SOURCE = "series"
"""The source that a policy's metric is read from when the series has it by name."""
_COUNT = re.compile(r"(requests|errors|latency_le_(\d+(?:\.\d+)?|inf))(_total)?")


@dataclass(frozen=True)
class Row:
    """One value; NaN is no data. `line` is where it stands."""

    at: float
    track: str
    metric: str
    value: float
    line: int


@dataclass(frozen=True)
class Series:
    """Blocks of what was recorded, the metrics in it, and what was noticed while reading."""

    blocks: tuple[Block, ...]
    metrics: frozenset[str]
    notes: tuple[str, ...]


def series(rows: Sequence[Row], name: str) -> Series:
    """Blocks of one second or longer, in the order of time. Raises MetricError that names the line."""
    for row in rows:
        _check(row, name)
    rows, notes = _in_seconds(rows)
    ordered = sorted(rows, key=lambda row: row.at)
    late = sum(1 for before, after in pairwise(rows) if after.at < before.at)
    if late:
        notes.append(f"{late} rows were out of order; they were sorted by at")
    blank = sum(1 for row in rows if math.isnan(row.value))
    if blank:
        notes.append(f"{blank} values are NaN or empty: no data")
    blocks, last, totals = [], None, dict[tuple[str, str], float]()
    for at, group in _moments(ordered):
        twice = _twice(group)
        if twice is not None:
            raise MetricError(
                f"{name}: line {twice.line}: {twice.metric} of {twice.track} at {twice.at:g} is given twice"
            )
        duration = 1.0 if last is None else at - last
        block, totals = _block(at, duration, group, totals)
        blocks.append(block)
        last = at
    usual = _usual([block.duration_s for block in blocks[1:]])
    gaps = [block for block in blocks[1:] if block.duration_s > 1.5 * usual]
    if gaps:
        longest = max(block.duration_s for block in gaps)
        notes.append(f"{len(gaps)} gaps; the longest took {longest:g} s where rows are {usual:g} s apart")
    return Series(tuple(blocks), frozenset(row.metric for row in rows), tuple(notes))


def _in_seconds(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Every row with its time in unix seconds, and a note on each other unit that was found."""
    result, found = [], dict[str, int]()
    for row in rows:
        part, unit = next(((part, unit) for least, part, unit in UNITS if abs(row.at) > least), (1.0, ""))
        if unit:
            found[unit] = found.get(unit, 0) + 1
        result.append(replace(row, at=row.at / part) if unit else row)
    return result, [
        f"{count} times are too large for seconds; they were read as {unit}" for unit, count in found.items()
    ]


def _check(row: Row, name: str) -> None:
    where = f"{name}: line {row.line}"
    if row.track not in TRACKS:
        raise MetricError(f"{where}: track {row.track[:40]!r} is unknown: write stable or candidate")
    if not math.isfinite(row.at):
        raise MetricError(f"{where}: at must be a time in unix seconds, or as 2026-01-31T12:00:00Z")
    if math.isinf(row.value):
        raise MetricError(f"{where}: {row.metric} is infinite: leave the value empty where nothing is known")
    match = _COUNT.fullmatch(row.metric)
    if match is None:
        return
    if row.value < 0:
        raise MetricError(f"{where}: {row.metric} is {row.value:g}: a count cannot be negative")
    if match[2] and match[2] != "inf" and float(match[2]) not in LATENCY_BOUNDS_MS:
        known = ", ".join(f"{bound:g}" for bound in LATENCY_BOUNDS_MS)
        raise MetricError(f"{where}: {match[2]} ms is no bound of the histogram: they are {known}")


def _moments(rows: Iterable[Row]) -> Iterator[tuple[float, list[Row]]]:
    """Rows of one moment (of one second, where they are closer) together."""
    group: list[Row] = []
    for row in rows:
        if group and math.floor(row.at) != math.floor(group[0].at):
            yield group[-1].at, group
            group = []
        group.append(row)
    if group:
        yield group[-1].at, group


def _twice(group: Sequence[Row]) -> Row | None:
    seen: set[tuple[float, str, str]] = set()
    for row in group:
        key = (row.at, str(TRACKS[row.track]), row.metric)
        if key in seen:
            return row
        seen.add(key)
    return None


def _usual(gaps: Sequence[float]) -> float:
    return sorted(gaps)[len(gaps) // 2] if gaps else 1.0


def _block(
    at: float, duration: float, group: Sequence[Row], totals: Mapping[tuple[str, str], float]
) -> tuple[Block, dict[tuple[str, str], float]]:
    counts: dict[int, dict[str, float]] = {}
    values: dict[str, dict[int, float]] = {}
    after = dict(totals)
    for row in group:
        number, match = TRACKS[row.track], _COUNT.fullmatch(row.metric)
        if math.isnan(row.value):
            continue
        if match is None:
            values.setdefault(row.metric, {})[number] = row.value
            continue
        grown, key = row.value, (row.metric, str(number))
        if match[3]:
            before = after.get(key)
            grown = 0.0 if before is None else (row.value - before if row.value >= before else row.value)
            after[key] = row.value
        into = counts.setdefault(number, {})
        into[match[1]] = into.get(match[1], 0.0) + grown
    return Block(at, duration, {number: _traffic(one) for number, one in counts.items()}, values), after


def _traffic(counts: Mapping[str, float]) -> Traffic:
    latency: tuple[int, ...] = ()
    if any(name.startswith("latency_le_") for name in counts):
        upto, below = [], 0.0
        for bound in (*(f"{bound:g}" for bound in LATENCY_BOUNDS_MS), "inf"):
            # A bound that was not recorded holds no more than the one below it, as far as anybody knows.
            below = max(below, counts.get(f"latency_le_{bound}", below))
            upto.append(round(below))
        latency = tuple(b - a for a, b in zip([0, *upto], upto, strict=False))
    requests = counts.get("requests", float(sum(latency)))
    return Traffic(round(requests), round(min(counts.get("errors", 0.0), requests)), latency)


def fitted(policy: Analysis, recorded: Series) -> tuple[Analysis, tuple[Block, ...], tuple[str, ...]]:
    """A policy whose metrics are read from the series by their names, the blocks for it, and the metrics that the
    series do not have: those say nothing.

    A metric that is named like a count (`errors`) keeps its source: counts are the gateway's traffic here.
    A sequential count is read as cumulative; it is counted against the series NAME/per, or else against seconds.
    """
    names = recorded.metrics
    counted = any(_COUNT.fullmatch(name) for name in names)

    def source(name: str, former: str) -> str:
        return SOURCE if name in names and not _COUNT.fullmatch(name) else former

    judges = policy.judges
    if judges.kayenta is not None:
        metrics = tuple(replace(m, source=source(m.name, m.source)) for m in judges.kayenta.rules.metrics)
        judges = replace(judges, kayenta=replace(judges.kayenta, rules=replace(judges.kayenta.rules, metrics=metrics)))
    if judges.argo is not None:
        own = tuple(replace(m, source=source(m.name, m.source)) for m in judges.argo.metrics)
        judges = replace(judges, argo=replace(judges.argo, metrics=own))
    if judges.flagger is not None:
        checks = tuple(replace(m, source=source(m.name, m.source)) for m in judges.flagger.rules.metrics)
        judges = replace(judges, flagger=replace(judges.flagger, rules=replace(judges.flagger.rules, metrics=checks)))
    after = replace(
        policy,
        metrics=tuple(replace(m, source=source(m.name, m.source)) for m in policy.metrics),
        streams=tuple(replace(m, source=source(m.name, m.source)) for m in policy.streams),
        sequential=policy.sequential if counted else None,
        judges=judges,
    )
    asked = [(m.name, m.source) for m in after.metrics] + [(m.name, m.source) for m in after.streams]
    asked += [(one.name, one.source) for _, one in after.judges.asked()]
    without = dict.fromkeys(name for name, where in asked if where != SOURCE and not (counted and where == GATEWAY))
    bare = [m.name for m in after.streams if m.form is Form.COUNT and m.source == SOURCE]
    bare = [name for name in bare if exposure_of(name) not in names]
    return after, tuple(_exposed(block, bare, recorded.blocks[0].at) for block in recorded.blocks), tuple(without)


def _exposed(block: Block, metrics: Sequence[str], since: float) -> Block:
    exposure = {exposure_of(name): dict.fromkeys(block.values.get(name, {}), block.at - since) for name in metrics}
    return replace(block, values={**block.values, **exposure}) if exposure else block
