"""The rules that people bring along, against their own published semantics and numbers worked out by hand."""

import math

import numpy as np
import pytest

from tidegate.core.judges import argo, flagger, kayenta, mann_whitney
from tidegate.core.judges.argo import ArgoMetric, Phase, Tally
from tidegate.core.judges.flagger import DURATION, SUCCESS_RATE, FlaggerAnalysis, FlaggerMetric
from tidegate.core.judges.kayenta import Classified, Direction, JudgeConfig, Label, Measure, MetricConfig, NaNStrategy
from tidegate.model.verdict import Outcome

NAN = math.nan
TENFOLD = ([20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0])


def label(config: MetricConfig, canary: list[float], baseline: list[float], *, compat: bool = True) -> Label:
    return kayenta.classify(config, np.array(canary), np.array(baseline), compat=compat).label


def test_interval_and_estimate_as_r_gives_them() -> None:
    shift = mann_whitney.shift(np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert (shift.low, shift.high, shift.estimate) == (6.0, 39.0, 22.5)


def test_rank_sum_by_hand() -> None:
    # x = 3, 4 against y = 1, 2: U = 4, mean 2, sigma = sqrt(4 / 12 * 5); corrected (4 - 2 - 0.5) / sigma
    got = mann_whitney.standardised(0.0, 0.0, np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    assert got == pytest.approx(1.5 / math.sqrt(4 / 12 * 5))


@pytest.mark.parametrize(
    ("x", "y", "p"),
    [
        ([1.0, 2.0, 2.0, 3.0, 5.0, 7.0, 7.0], [2.0, 3.0, 4.0, 4.0, 6.0, 9.0], 0.5639370125740064),
        ([1.1, 2.3, 3.7, 4.2], [2.9, 5.1, 6.3, 7.7, 8.4], 0.06619257972219345),
    ],
    ids=["ties", "no ties"],
)
def test_the_test_is_the_one_with_the_normal_approximation(x: list[float], y: list[float], p: float) -> None:
    """p as scipy 1.17 gives it: mannwhitneyu(x, y, method="asymptotic"); the exact test has 0.628 and 0.0635."""
    z = mann_whitney.standardised(0.0, 0.0, np.array(x), np.array(y))
    assert math.erfc(abs(z) / math.sqrt(2)) == pytest.approx(p, rel=1e-12)


def test_ranks_share_ties() -> None:
    ranks, ties = mann_whitney.ranks(np.array([2.0, 1.0, 2.0, 5.0]))
    assert ranks.tolist() == [2.5, 1.0, 2.5, 4.0]
    assert ties.tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("canary", "baseline", "want"),
    [
        (*TENFOLD, Label.HIGH),
        (TENFOLD[1], TENFOLD[0], Label.LOW),
        ([1.0, 1.0, 1.0], [1.0, 1.0], Label.PASS),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0], Label.PASS),
        ([0.0, 1.0, 1.0, 1.0, 1.0], [1.0] * 5, Label.PASS),
        ([1.0, 1.0, 1.0, 1.0, 10.0], [1.0] * 5, Label.PASS),
        ([10.0] * 5, [1.0] * 5, Label.HIGH),
        ([10.0] * 5, [0.0] * 5, Label.HIGH),
        ([0.0] * 5, [0.0] * 5, Label.PASS),
        ([54.9, 54.5, 55.1, 55.6, 57.4], [0.0] * 5, Label.HIGH),
        ([0.0] * 5, [54.9, 54.5, 55.1, 55.6, 57.4], Label.LOW),
        ([], [1.0, 2.0, 3.0], Label.NODATA),
        ([NAN, NAN], [1.0, 2.0, 3.0], Label.NODATA),
    ],
)
def test_classification(canary: list[float], baseline: list[float], want: Label) -> None:
    assert label(MetricConfig("m", tolerance=0.10, confidence=0.95), canary, baseline) is want


def test_direction_limits_what_counts() -> None:
    assert label(MetricConfig("m", direction=Direction.DECREASE, confidence=0.95), *TENFOLD) is Label.PASS
    assert label(MetricConfig("m", direction=Direction.INCREASE, confidence=0.95), *TENFOLD) is Label.HIGH


def test_effect_size_must_be_reached() -> None:
    small = ([10.0, 12.2, 10.1, 12.5, 23.0], [20.0, 22.0, 21.0, 25.0, 30.0])
    config = MetricConfig("m", tolerance=0.10, confidence=0.95, allowed_decrease=0.5)
    assert label(config, *small) is Label.PASS
    cles = MetricConfig("m", tolerance=0.2, measure=Measure.CLES, allowed_increase=0.8)
    assert label(cles, [float(i) for i in range(20, 50)], [float(i) for i in range(30)]) is Label.HIGH


def test_critical_effect_sizes() -> None:
    def critical(limit: float | None) -> bool:
        config = MetricConfig("m", tolerance=0.1, confidence=0.95, critical=True, critical_increase=limit)
        return kayenta.classify(config, *map(np.array, TENFOLD)).critical

    assert critical(1.2)
    assert critical(None)
    assert not critical(50.0)


def test_effect_sizes_by_hand() -> None:
    assert kayenta.cles(np.array([2.0, 3.0]), np.array([1.0, 2.0])) == pytest.approx(3.5 / 4)
    assert kayenta.mean_ratio(np.array([3.0, 5.0]), np.array([2.0])) == 2.0
    assert math.isnan(kayenta.mean_ratio(np.array([0.0]), np.array([2.0])))


def test_outliers_lie_beyond_both_fences() -> None:
    values = np.array([21.0, 23.0, 24.0, 25.0, 50.0, 29.0, 23.0, 21.0])
    low, high = kayenta.fences(values, 1.5)
    # type 7: p25 = 22.5, p75 = 26; p01 = 21, p99 = 48.53
    assert low == pytest.approx(17.25)
    assert high == pytest.approx(29 + 0.93 * 21)


def test_missing_samples_removed_or_read_as_zero() -> None:
    filled = MetricConfig("m", nan_strategy=NaNStrategy.REPLACE, confidence=0.95)
    assert label(filled, [NAN] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]) is Label.LOW
    assert label(filled, [], [1.0]) is Label.PASS
    assert label(filled, [], [1.0], compat=False) is Label.NODATA
    assert label(MetricConfig("m", must_have_data=True), [], [1.0]) is Label.NODATA_FAIL


def scored(
    labels: dict[str, tuple[Label, str]], weights: dict[str, float], *, compat: bool = True, critical: str = ""
) -> kayenta.Judgement:
    results = [
        Classified(name, found, name, groups=(group,), critical=name == critical)
        for name, (found, group) in labels.items()
    ]
    return kayenta.score(JudgeConfig((), weights, 95, 75), results, compat=compat)


def test_scores_are_weighted_sums_of_group_passes() -> None:
    two = {"a": (Label.PASS, "g"), "b": (Label.HIGH, "g"), "c": (Label.PASS, "h"), "d": (Label.PASS, "h")}
    judged = scored(two, {"g": 75, "h": 25})
    assert (judged.score, judged.grade, judged.outcome) == (62.5, kayenta.Grade.FAIL, Outcome.FAIL)
    assert scored(two, {"g": 20}).score == 90.0  # h gets the 80 that are left
    thirds = {"a": (Label.PASS, "g"), "b": (Label.PASS, "g"), "c": (Label.HIGH, "g")}
    assert scored(thirds, {"g": 100}).score == 66.67


def test_critical_failure_is_zero() -> None:
    judged = scored({"a": (Label.HIGH, "g"), "b": (Label.PASS, "g")}, {"g": 100}, critical="a")
    assert (judged.score, judged.outcome) == (0.0, Outcome.FAIL)


def test_no_data_is_open_unless_theirs_is_asked_for() -> None:
    half = {"a": (Label.NODATA, "g"), "b": (Label.PASS, "h")}
    assert scored(half, {"g": 50, "h": 50}).outcome is Outcome.FAIL
    assert scored(half, {"g": 50, "h": 50}, compat=False).outcome is Outcome.INCONCLUSIVE
    third = {"a": (Label.NODATA, "g"), "b": (Label.PASS, "h"), "c": (Label.PASS, "h")}
    assert scored(third, {"g": 50, "h": 50}).outcome is Outcome.PASS
    assert scored(third, {"g": 50, "h": 50}, compat=False).outcome is Outcome.INCONCLUSIVE
    assert kayenta.judge(JudgeConfig(()), {}).outcome is Outcome.INCONCLUSIVE


def test_a_whole_judgement() -> None:
    config = JudgeConfig(
        (MetricConfig("errors", ("quality",), critical=True), MetricConfig("latency", ("speed",))),
        {"quality": 60, "speed": 40},
    )
    good = [float(v) for v in range(1, 31)]
    shuffled = [good[(i * 7) % 30] + 0.01 for i in range(30)]
    assert kayenta.judge(config, {"errors": (shuffled, good), "latency": (shuffled, good)}).score == 100.0
    slow = [v + 40 for v in good]
    judged = kayenta.judge(config, {"errors": (shuffled, good), "latency": (slow, good)})
    assert (judged.score, judged.outcome) == (60.0, Outcome.FAIL)
    judged = kayenta.judge(config, {"errors": (slow, good), "latency": (shuffled, good)})
    assert judged.score == 0.0
    assert "High (critical)" in judged.reason


def fed(metric: ArgoMetric, phases: str) -> Tally:
    words = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "I": Phase.INCONCLUSIVE, "E": Phase.ERROR}
    tally = Tally()
    for letter in phases:
        tally = argo.take(metric, tally, words[letter])
    return tally


@pytest.mark.parametrize(
    ("metric", "phases", "want"),
    [
        (ArgoMetric("m"), "SSSS", Phase.RUNNING),
        (ArgoMetric("m", repeats=False), "S", Phase.SUCCESSFUL),
        (ArgoMetric("m", count=3), "SSS", Phase.SUCCESSFUL),
        (ArgoMetric("m"), "SF", Phase.FAILED),
        (ArgoMetric("m", failure_limit=3), "FSFSF", Phase.RUNNING),
        (ArgoMetric("m", failure_limit=3), "FSFSFSF", Phase.FAILED),
        (ArgoMetric("m", failure_limit=-1), "FFFFFFFF", Phase.RUNNING),
        (ArgoMetric("m", failure_limit=1, count=2), "SF", Phase.SUCCESSFUL),
        (ArgoMetric("m", inconclusive_limit=1), "ISI", Phase.INCONCLUSIVE),
        (ArgoMetric("m"), "EEEE", Phase.RUNNING),
        (ArgoMetric("m"), "EEEESEEEE", Phase.RUNNING),
        (ArgoMetric("m"), "EEEEE", Phase.ERROR),
        (ArgoMetric("m", count=2), "ES", Phase.RUNNING),
        (ArgoMetric("m", consecutive_success_limit=3, failure_limit=9), "SSFSSS", Phase.SUCCESSFUL),
        (ArgoMetric("m", consecutive_success_limit=3, failure_limit=9, count=4), "SSFS", Phase.INCONCLUSIVE),
        (ArgoMetric("m", consecutive_success_limit=3, failure_limit=-1, count=4), "SSFS", Phase.FAILED),
    ],
)
def test_argo_limits(metric: ArgoMetric, phases: str, want: Phase) -> None:
    assert fed(metric, phases).phase is want


def test_argo_measurements() -> None:
    both = ArgoMetric("m", "result[0] >= 0.95", "result[0] < 0.90")
    assert argo.measure(both, [0.99])[0] is Phase.SUCCESSFUL
    assert argo.measure(both, [0.92])[0] is Phase.INCONCLUSIVE
    assert argo.measure(both, [0.5])[0] is Phase.FAILED
    assert argo.measure(ArgoMetric("m", "result > 1"), 1)[0] is Phase.FAILED
    assert argo.measure(ArgoMetric("m", failure_condition="result > 1"), 1)[0] is Phase.SUCCESSFUL
    assert argo.measure(ArgoMetric("m"), 7)[0] is Phase.SUCCESSFUL
    assert argo.measure(ArgoMetric("m", "result"), 7)[0] is Phase.ERROR


def test_argo_without_data() -> None:
    guard = ArgoMetric("m", failure_condition="result > 0.05")
    assert argo.measure(guard, NAN)[0] is Phase.INCONCLUSIVE
    assert argo.measure(guard, NAN, compat=True)[0] is Phase.SUCCESSFUL
    assert argo.measure(ArgoMetric("m", "result[0] > 1"), [])[0] is Phase.INCONCLUSIVE
    assert argo.measure(ArgoMetric("m", "result[0] > 1"), [], compat=True)[0] is Phase.ERROR
    told = ArgoMetric("m", "isNaN(result) || result >= 0.95")
    assert argo.measure(told, NAN)[0] is Phase.SUCCESSFUL


def test_argo_run_is_the_worst_and_ends_with_the_first_that_ends_badly() -> None:
    going, failed = ArgoMetric("a"), ArgoMetric("b")
    assert argo.run_phase([(going, fed(going, "S")), (failed, fed(failed, "S"))]) is Phase.RUNNING
    assert argo.run_phase([(going, fed(going, "S")), (failed, fed(failed, "F"))]) is Phase.FAILED
    trial = ArgoMetric("b", dry_run=True, repeats=False)
    done = ArgoMetric("a", repeats=False)
    assert argo.run_phase([(done, fed(done, "S")), (trial, fed(trial, "F"))]) is Phase.SUCCESSFUL
    assert argo.outcome(Phase.ERROR) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("metric", "value", "want"),
    [
        (FlaggerMetric(SUCCESS_RATE, minimum=99), 99.0, Outcome.PASS),
        (FlaggerMetric(SUCCESS_RATE, minimum=99), 98.99, Outcome.FAIL),
        (FlaggerMetric(SUCCESS_RATE, threshold=99), 98.99, Outcome.FAIL),
        (FlaggerMetric(DURATION, maximum=500), 500.0, Outcome.PASS),
        (FlaggerMetric(DURATION, threshold=500), 500.9, Outcome.PASS),
        (FlaggerMetric(DURATION, threshold=500), 501.0, Outcome.FAIL),
        (FlaggerMetric(DURATION, maximum=500.9), 501.0, Outcome.FAIL),
        (FlaggerMetric(DURATION, maximum=500), math.inf, Outcome.FAIL),
        (FlaggerMetric("own", threshold=5), 4.0, Outcome.PASS),
        (FlaggerMetric("own", minimum=1, maximum=5), 0.5, Outcome.FAIL),
        (FlaggerMetric("own", maximum=5), None, Outcome.INCONCLUSIVE),
        (FlaggerMetric("own", maximum=5), NAN, Outcome.INCONCLUSIVE),
    ],
)
def test_flagger_ranges(metric: FlaggerMetric, value: float | None, want: Outcome) -> None:
    assert flagger.check(metric, value)[0] is want


def test_flagger_rolls_back_at_the_tick_after_the_threshold() -> None:
    analysis = FlaggerAnalysis((FlaggerMetric(SUCCESS_RATE, minimum=99),), threshold=3)
    series = [{SUCCESS_RATE: value} for value in (98.0, 100.0, 98.0, 100.0, 98.0, 100.0)]
    state, tick = flagger.ticks(analysis, series)
    assert (state.failed, tick) == (3, 5)
    assert flagger.ticks(analysis, series[:5])[1] is None


def test_flaggers_metric_without_values_hides_no_other_that_fails() -> None:
    analysis = FlaggerAnalysis((FlaggerMetric("own", maximum=1), FlaggerMetric(SUCCESS_RATE, minimum=99)), threshold=2)
    state, outcome = flagger.tick(analysis, flagger.Checks(), {"own": None, SUCCESS_RATE: 90.0})
    assert (state.failed, outcome) == (1, Outcome.INCONCLUSIVE)
    assert "90.00 < 99" in state.because
    state, outcome = flagger.tick(analysis, state, {"own": None, SUCCESS_RATE: 100.0})
    assert (state.failed, outcome, state.because) == (1, Outcome.INCONCLUSIVE, "own: no values found")


def test_flagger_without_values() -> None:
    analysis = FlaggerAnalysis((FlaggerMetric(SUCCESS_RATE, minimum=99),), threshold=2)
    series: list[dict[str, float | None]] = [{SUCCESS_RATE: None}] * 4
    assert flagger.ticks(analysis, series)[1] is None
    assert flagger.ticks(analysis, series, compat=True)[1] == 2
    assert flagger.check(analysis.metrics[0], NAN, compat=True)[0] is Outcome.FAIL
