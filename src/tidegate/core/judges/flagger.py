"""Flagger's checks: at every interval each metric must lie within its range; too many failed checks roll back.

A check fails when a value is below `minimum` or above `maximum` (the limits themselves pass). Without a range, the
older `threshold` is a least value for request-success-rate and a most for everything else. The failed checks add up
over the whole analysis, they need not follow each other, and the rollback happens at the tick after the one that
reached the threshold (less than 1 counts as 1). Durations and their limits are cut to whole milliseconds. Semantics
read from fluxcd/flagger 15bd6ad5 (pkg/controller/scheduler*.go, pkg/metrics).

Theirs (`compat=True`) counts a check without values as failed. Ours: no data halts the check and fails nothing. NaN is
no value, as with their Prometheus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.model.judges import FlaggerAnalysis as FlaggerAnalysis
from tidegate.model.judges import FlaggerMetric as FlaggerMetric
from tidegate.model.verdict import Outcome

SUCCESS_RATE = "request-success-rate"
DURATION = "request-duration"


@dataclass(frozen=True)
class Checks:
    """What was counted so far."""

    failed: int = 0
    rolled_back: bool = False
    because: str = ""


def check(metric: FlaggerMetric, value: float | None, *, compat: bool = False) -> tuple[Outcome, str]:
    """One metric at one interval."""
    if value is None or math.isnan(value):
        return (Outcome.FAIL if compat else Outcome.INCONCLUSIVE), f"{metric.name}: no values found"
    low, high = _limits(metric)
    if metric.name == DURATION and math.isfinite(value):
        value = float(int(value))
    if low is not None and value < low:
        return Outcome.FAIL, f"{metric.name} {value:.2f} < {low:g}"
    if high is not None and value > high:
        return Outcome.FAIL, f"{metric.name} {value:.2f} > {high:g}"
    return Outcome.PASS, f"{metric.name} {value:.2f} is within its range"


def _limits(metric: FlaggerMetric) -> tuple[float | None, float | None]:
    low, high = metric.minimum, metric.maximum
    if low is None and high is None:
        limit = metric.threshold or 0.0
        low, high = (limit, None) if metric.name == SUCCESS_RATE else (None, limit)
    if metric.name == DURATION:
        low, high = (None if limit is None else float(int(limit)) for limit in (low, high))
    return low, high


def tick(
    analysis: FlaggerAnalysis, state: Checks, values: Mapping[str, float | None], *, compat: bool = False
) -> tuple[Checks, Outcome]:
    """One interval: roll back where the failed checks have reached the threshold, else check all metrics in order;
    the first that fails ends the check. One without data hides no other that fails."""
    if state.rolled_back:
        return state, Outcome.FAIL
    if state.failed >= max(1, analysis.threshold):
        return replace(state, rolled_back=True, because=f"failed checks threshold reached {state.failed}"), Outcome.FAIL
    unknown = ""
    for metric in analysis.metrics:
        outcome, because = check(metric, values.get(metric.name), compat=compat)
        if outcome is Outcome.FAIL:
            return replace(state, failed=state.failed + 1, because=because), Outcome.INCONCLUSIVE
        if outcome is Outcome.INCONCLUSIVE:
            unknown = unknown or because
    if unknown:
        return replace(state, because=unknown), Outcome.INCONCLUSIVE
    return replace(state, because="all checks passed"), Outcome.PASS


def ticks(
    analysis: FlaggerAnalysis, series: Sequence[Mapping[str, float | None]], *, compat: bool = False
) -> tuple[Checks, int | None]:
    """A whole series: the state at its end, and the index of the tick that rolled back."""
    state = Checks()
    for index, values in enumerate(series):
        state, _ = tick(analysis, state, values, compat=compat)
        if state.rolled_back:
            return state, index
    return state, None
