"""Argo Rollouts' analysis metrics: conditions, and limits on how many measurements may fail.

A measurement is Successful, Failed, Inconclusive or Error. The metric ends Failed when failed > failureLimit,
Inconclusive when inconclusive > inconclusiveLimit, Error when consecutive errors > consecutiveErrorLimit (default 4;
later rules win), Successful when consecutiveSuccessLimit is reached or `count` measurements are taken. Errors do not
count towards `count`. Semantics read from argo-rollouts 9f8d111d8 (analysis/analysis.go, utils/evaluate).

Theirs (`compat=True`) reads NaN as a plain number: `result > 0.05` is false, so a failure condition lets it pass and a
success condition fails it. Ours: nil, an empty list or NaN is Inconclusive, unless the condition itself speaks of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from tidegate.model.expressions import ExpressionError, Value, condition
from tidegate.model.judges import ArgoMetric as ArgoMetric
from tidegate.model.verdict import Outcome


class Phase(StrEnum):
    """Of a measurement, a metric or a run, in Argo's words."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"

    @property
    def completed(self) -> bool:
        """Whether it stays as it is."""
        return self not in (Phase.PENDING, Phase.RUNNING)


WORSE = (Phase.SUCCESSFUL, Phase.RUNNING, Phase.PENDING, Phase.INCONCLUSIVE, Phase.ERROR, Phase.FAILED)


@dataclass(frozen=True)
class Tally:
    """What was counted of one metric so far."""

    phase: Phase = Phase.PENDING
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    consecutive_error: int = 0
    consecutive_success: int = 0
    because: str = ""


def measure(metric: ArgoMetric, result: Value, *, compat: bool = False) -> tuple[Phase, str]:
    """The phase of one measurement and why. An evaluation that breaks is Error."""
    try:
        conditions = [condition(text) for text in (metric.success_condition, metric.failure_condition) if text]
        if not compat and _missing(result) and not any(c.handles_missing() for c in conditions):
            return Phase.INCONCLUSIVE, f"{metric.name}: no data"
        success = bool(metric.success_condition) and condition(metric.success_condition).holds(result)
        failure = bool(metric.failure_condition) and condition(metric.failure_condition).holds(result)
    except ExpressionError as error:
        return Phase.ERROR, f"{metric.name}: {error}"
    match bool(metric.success_condition), bool(metric.failure_condition):
        case False, False:
            success = True
        case True, False:
            failure = not success
        case False, True:
            success = not failure
    if failure:
        return Phase.FAILED, f"{metric.name}: {result} fails `{metric.failure_condition or metric.success_condition}`"
    if not success:
        return Phase.INCONCLUSIVE, f"{metric.name}: {result} meets neither condition"
    return Phase.SUCCESSFUL, f"{metric.name}: {result} is good"


def _missing(result: Value) -> bool:
    if isinstance(result, float) and math.isnan(result):
        return True
    if isinstance(result, Sequence) and not isinstance(result, str):
        return not result or any(isinstance(item, float) and math.isnan(item) for item in result)
    return result is None


def take(metric: ArgoMetric, tally: Tally, phase: Phase) -> Tally:
    """One measurement more. A metric that has ended stays as it is."""
    if tally.phase.completed:
        return tally
    added = replace(
        tally,
        phase=Phase.RUNNING,
        count=tally.count + (phase is not Phase.ERROR),
        successful=tally.successful + (phase is Phase.SUCCESSFUL),
        failed=tally.failed + (phase is Phase.FAILED),
        inconclusive=tally.inconclusive + (phase is Phase.INCONCLUSIVE),
        error=tally.error + (phase is Phase.ERROR),
        consecutive_error=tally.consecutive_error + 1 if phase is Phase.ERROR else 0,
        consecutive_success=tally.consecutive_success + 1 if phase is Phase.SUCCESSFUL else 0,
    )
    phase, because = assess(metric, added)
    return replace(added, phase=phase, because=because)


def assess(metric: ArgoMetric, tally: Tally) -> tuple[Phase, str]:
    """Where the limits leave a metric. The order matters: an error limit outweighs the others."""
    if tally.consecutive_error > metric.consecutive_error_limit:
        return Phase.ERROR, f"consecutiveErrors ({tally.consecutive_error}) > limit ({metric.consecutive_error_limit})"
    if tally.inconclusive > metric.inconclusive_limit:
        return (
            Phase.INCONCLUSIVE,
            f"inconclusive ({tally.inconclusive}) > inconclusiveLimit ({metric.inconclusive_limit})",
        )
    if 0 <= metric.failure_limit < tally.failed:
        return Phase.FAILED, f"failed ({tally.failed}) > failureLimit ({metric.failure_limit})"
    wanted = metric.consecutive_success_limit
    if 0 < wanted <= tally.consecutive_success:
        return Phase.SUCCESSFUL, f"consecutiveSuccessLimit ({wanted}) reached"
    if not metric.effective_count or tally.count < metric.effective_count:
        return Phase.RUNNING, ""
    if wanted > 0 and metric.failure_limit >= 0:
        return Phase.INCONCLUSIVE, f"consecutiveSuccessLimit ({wanted}) not reached, failureLimit not violated"
    if wanted > 0:
        return Phase.FAILED, f"consecutiveSuccessLimit ({wanted}) not reached"
    return Phase.SUCCESSFUL, f"count ({metric.effective_count}) reached"


def conclude(metric: ArgoMetric, tally: Tally) -> Tally:
    """The run is ending (another metric failed, or it was told to): what goes on is Successful, in Argo's reading."""
    if tally.phase.completed:
        return tally
    return replace(tally, phase=Phase.SUCCESSFUL, because="run terminated")


def run_phase(metrics: Iterable[tuple[ArgoMetric, Tally]]) -> Phase:
    """The worst of the metrics once all have ended; as soon as one has ended badly, the others are concluded."""
    pairs = list(metrics)
    counted = [(metric, tally) for metric, tally in pairs if not metric.dry_run]
    bad = (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE)
    if any(tally.phase in bad for _, tally in counted):
        pairs = [(metric, conclude(metric, tally)) for metric, tally in pairs]
        counted = [(metric, tally) for metric, tally in pairs if not metric.dry_run]
    if not pairs or not all(tally.phase.completed for _, tally in pairs):
        return Phase.RUNNING
    return max((tally.phase for _, tally in counted), key=WORSE.index, default=Phase.SUCCESSFUL)


def outcome(phase: Phase) -> Outcome:
    """In the words of Tidegate. An error of the source is no failure of the release."""
    match phase:
        case Phase.SUCCESSFUL:
            return Outcome.PASS
        case Phase.FAILED:
            return Outcome.FAIL
        case _:
            return Outcome.INCONCLUSIVE
