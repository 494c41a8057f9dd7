"""Kayenta's judge NetflixACAJudge-v1.0: each metric High, Low or Pass by Mann-Whitney, then a weighted score.

A metric is High when the whole 98 % confidence interval of the shift lies above 0.25 of the Hodges-Lehmann estimate's
size, and the effect size (ratio of means, or CLES) reaches the allowed one. Scores: each group's share of Pass, summed
by group weights; groups without a weight share what is left of 100. Semantics read from spinnaker/kayenta a69573be.

Theirs (`compat=True`) lets a metric without data pass under nanStrategy "replace", gives a group without data the
full score, and fails a canary when half the metrics have no data. Ours: no data is Nodata, and where it leaves the
score open the outcome is inconclusive: never pass, never fail.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from statistics import NormalDist

import numpy as np

from tidegate.core.judges import mann_whitney
from tidegate.core.stats.arrays import Array, as_array
from tidegate.model.judges import CONFIDENCE, TOLERANCE, Direction, JudgeConfig, Measure, MetricConfig, NaNStrategy
from tidegate.model.verdict import Outcome

__all__ = [
    "CONFIDENCE",
    "TOLERANCE",
    "Classified",
    "Direction",
    "Grade",
    "JudgeConfig",
    "Judgement",
    "Label",
    "Measure",
    "MetricConfig",
    "NaNStrategy",
    "classify",
    "judge",
    "score",
]

TOO_LITTLE_DATA_PERCENT = 50
NOISE = 1e-5


class Label(StrEnum):
    """What a metric is."""

    PASS = "Pass"  # noqa: S105
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"
    ERROR = "Error"


class Grade(StrEnum):
    """What a score is."""

    PASS = "Pass"  # noqa: S105
    MARGINAL = "Marginal"
    FAIL = "Fail"


@dataclass(frozen=True)
class Classified:
    """One metric's result. `ratio` is canary mean / baseline mean (NaN where either is 0; 1 without data)."""

    name: str
    label: Label
    reason: str = ""
    ratio: float = 1.0
    critical: bool = False
    groups: tuple[str, ...] = ()
    muted: bool = False


@dataclass(frozen=True)
class Judgement:
    """Score 0-100 with its grade; `outcome` is the same in the words of Tidegate."""

    score: float
    grade: Grade
    outcome: Outcome
    reason: str
    metrics: tuple[Classified, ...]
    group_scores: Mapping[str, float]


Samples = Sequence[float] | Array


def judge(config: JudgeConfig, samples: Mapping[str, tuple[Samples, Samples]], *, compat: bool = False) -> Judgement:
    """Judge all metrics. `samples`: by metric name (canary, baseline); a name that is absent has no data."""
    results = tuple(
        classify(metric, *(as_array(s) for s in samples.get(metric.name, ((), ()))), compat=compat)
        for metric in config.metrics
    )
    return score(config, results, compat=compat)


def classify(config: MetricConfig, canary: Array, baseline: Array, *, compat: bool = False) -> Classified:
    """One metric: clean both samples, then compare them."""
    canary, baseline = (_cleaned(config, values) for values in (canary, baseline))
    if not len(canary) or not len(baseline):
        return _without_data(config, compat)
    if len(canary) == len(baseline) and bool(np.all(np.sort(canary) == np.sort(baseline))):
        return _result(config, Label.PASS, "canary and baseline are identical")
    if len(np.unique(np.concatenate((canary, baseline)))) == 1:
        return _result(config, Label.PASS, "")
    try:
        return _compared(config, canary, baseline)
    except mann_whitney.AllTiedError as error:
        return _result(config, Label.ERROR, f"the metric could not be classified: {error}")


def _compared(config: MetricConfig, canary: Array, baseline: Array) -> Classified:
    if len(np.unique(canary)) == 1 and len(np.unique(baseline)) == 1:
        canary, baseline = _untied(canary), _untied(baseline)
    shift = mann_whitney.shift(canary, baseline, config.confidence)
    ratio = mean_ratio(canary, baseline)
    size = cles(canary, baseline) if config.measure is Measure.CLES else ratio
    bound = config.tolerance * abs(shift.estimate)

    def reaches(limit: float | None, sign: int) -> bool:
        return math.isnan(size) or sign * size >= sign * config.limit(limit)

    for label, wrong_way, sign, beyond, limits in (
        (Label.HIGH, Direction.DECREASE, 1, shift.low > bound, (config.allowed_increase, config.critical_increase)),
        (Label.LOW, Direction.INCREASE, -1, shift.high < -bound, (config.allowed_decrease, config.critical_decrease)),
    ):
        if config.direction is not wrong_way and beyond and reaches(limits[0], sign):
            critical = config.critical and reaches(limits[1], sign)
            note = " (critical)" if critical else ""
            reason = (
                f"{label}{note}: shift {shift.low:.6g} to {shift.high:.6g} (estimate {shift.estimate:.6g}) "
                f"lies beyond {sign * bound:.6g}"
            )
            return _result(config, label, reason, ratio=ratio, critical=critical)
    return _result(config, Label.PASS, "", ratio=ratio)


def _without_data(config: MetricConfig, compat: bool) -> Classified:
    if compat and config.nan_strategy is NaNStrategy.REPLACE:
        return _result(config, Label.PASS, "")
    reason = f"no data for {config.name}"
    if config.must_have_data and not config.critical:
        return _result(config, Label.NODATA_FAIL, reason)
    return _result(config, Label.NODATA, reason, critical=config.critical)


def _result(
    config: MetricConfig, label: Label, reason: str, *, ratio: float = 1.0, critical: bool = False
) -> Classified:
    return Classified(config.name, label, reason, ratio, critical, config.groups, config.muted)


def _cleaned(config: MetricConfig, values: Array) -> Array:
    if config.nan_strategy is NaNStrategy.REMOVE:
        values = values[~np.isnan(values)]
    else:
        values = np.where(np.isnan(values), 0.0, values)
    if not config.remove_outliers or not len(values):
        return values
    low, high = fences(values, config.outlier_factor)
    return values[(values >= low) & (values <= high)]


def fences(values: Array, factor: float) -> tuple[float, float]:
    """Tukey's fences, moved out to the 1st and 99th percentile where those are further out."""
    p01, p25, p75, p99 = (_percentile(values, p) for p in (0.01, 0.25, 0.75, 0.99))
    reach = factor * (p75 - p25)
    return min(p01, p25 - reach), max(p99, p75 + reach)


def _percentile(values: Array, share: float) -> float:
    """R's type 7, in the order of operations of commons-math."""
    ordered = np.sort(values)
    at = (len(ordered) - 1) * share + 1
    below = math.floor(at)
    if below < 1:
        return float(ordered[0])
    if below >= len(ordered):
        return float(ordered[-1])
    return float(ordered[below - 1] + (at - below) * (ordered[below] - ordered[below - 1]))


def _untied(values: Array) -> Array:
    """Constant samples, spread by a hundred-thousandth, so that they can be ranked. Kayenta adds random noise of that
    size; here the spread is fixed (normal scores), so that the same samples are always judged the same."""
    count = len(values)
    scores = np.array([NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])
    return np.asarray(values + scores * values[0] * NOISE)


def mean_ratio(canary: Array, baseline: Array) -> float:
    """Canary mean / baseline mean; NaN where either is 0."""
    top, bottom = _mean(canary), _mean(baseline)
    return math.nan if top == 0.0 or bottom == 0.0 else top / bottom


def _mean(values: Array) -> float:
    """Two passes, summed from the first to the last, as commons-math does."""
    rough = float(np.cumsum(values)[-1]) / len(values)
    return rough + float(np.cumsum(values - rough)[-1]) / len(values)


def cles(canary: Array, baseline: Array) -> float:
    """The chance that a canary sample is larger than a baseline one, ties counting half (Vargha & Delaney 2000)."""
    m, n = len(canary), len(baseline)
    rank_sum = float(mann_whitney.ranks(np.concatenate((canary, baseline)))[0][:m].sum())
    return (2 * rank_sum - m * (m + 1)) / (2 * n * m)


def score(config: JudgeConfig, results: Sequence[Classified], *, compat: bool = False) -> Judgement:
    """The weighted score of classified metrics; muted ones do not count."""
    counted = [result for result in results if not result.muted]
    groups = {group: _group_score(counted, group) for group in sorted({g for r in counted for g in r.groups})}
    shown = {group: value or 0.0 for group, value in groups.items()}

    def judged(points: float, reason: str, open_reason: str = "") -> Judgement:
        grade = _grade(config, points)
        outcome = _OUTCOMES[grade]
        if open_reason and not compat:
            outcome, reason = Outcome.INCONCLUSIVE, open_reason
        return Judgement(points, grade, outcome, reason, tuple(results), shown)

    critical = [result for result in counted if result.critical and result.label is not Label.PASS]
    if critical:
        only_missing = all(result.label is Label.NODATA for result in critical)
        return judged(0.0, critical[0].reason, critical[0].reason if only_missing else "")
    missing = [result for result in counted if result.label is Label.NODATA]
    if counted and len(missing) / len(counted) * 100 >= TOO_LITTLE_DATA_PERCENT:
        return judged(0.0, *[f"{len(missing)} of {len(counted)} metrics have no data"] * 2)
    points = _summary(config, groups)
    without = [group for group, value in groups.items() if value is None]
    failed = any(result.label in (Label.HIGH, Label.LOW, Label.NODATA_FAIL) for result in counted)
    open_reason = ""
    if not counted:
        open_reason = "no metric was judged"
    elif without and not (failed and _grade(config, points) is Grade.FAIL):
        open_reason = f"no data for group {', '.join(without)}"
    return judged(points, f"score {points:g}", open_reason)


def _group_score(results: Sequence[Classified], group: str) -> float | None:
    """Percent of Pass among the group's metrics that have a result; None where none has. A metric that names the
    group twice counts twice."""
    labels = [result.label for result in results for name in result.groups if name == group]
    judged = [label for label in labels if label not in (Label.NODATA, Label.ERROR)]
    return judged.count(Label.PASS) / len(judged) * 100 if judged else None


def _summary(config: JudgeConfig, groups: Mapping[str, float | None]) -> float:
    unweighted = [group for group in groups if group not in config.group_weights]
    left = (100 - sum(config.group_weights.values())) / len(unweighted) if unweighted else 0.0
    total = 0.0
    for group, value in groups.items():
        total += (100.0 if value is None else value) * (config.group_weights.get(group, left) / 100)
    return float(Decimal(repr(total)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _grade(config: JudgeConfig, points: float) -> Grade:
    if points >= config.pass_score:
        return Grade.PASS
    return Grade.MARGINAL if points >= config.marginal_score else Grade.FAIL


_OUTCOMES = {Grade.PASS: Outcome.PASS, Grade.MARGINAL: Outcome.INCONCLUSIVE, Grade.FAIL: Outcome.FAIL}
