"""The judges against the inputs and outcomes that their authors publish: argo-rollouts 9f8d111d8 (analysis_test.go,
evaluate_test.go), flagger 15bd6ad5, kayenta a69573be (ClassifierSuite, MannWhitneySuite, ScorerSuite, DetectorSuite,
StatisticSuite). Numbers only; those of Kayenta's two large suites are in tests/fixtures/judges/kayenta.json.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidegate.core.judges import argo, flagger, kayenta, mann_whitney
from tidegate.core.judges.argo import ArgoMetric, Phase, Tally
from tidegate.core.judges.flagger import DURATION, SUCCESS_RATE, FlaggerAnalysis, FlaggerMetric
from tidegate.core.judges.kayenta import Classified, JudgeConfig, Label, MetricConfig
from tidegate.model.expressions import ExpressionError, condition
from tidegate.model.judges import Direction, Measure, NaNStrategy
from tidegate.model.verdict import Outcome

KAYENTA = json.loads((Path(__file__).parents[1] / "fixtures" / "judges" / "kayenta.json").read_text())
PASS, HIGH, LOW, NODATA = Label.PASS, Label.HIGH, Label.LOW, Label.NODATA
GOOD, BAD, OPEN, GOES, BROKE = Phase.SUCCESSFUL, Phase.FAILED, Phase.INCONCLUSIVE, Phase.RUNNING, Phase.ERROR


def samples(case: dict[str, Any]) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [np.array(KAYENTA["series"][case[arm]], dtype=np.float64) for arm in ("canary", "baseline")]


@pytest.mark.parametrize("case", KAYENTA["classified"], ids=lambda case: case["name"])
def test_kayenta_classifies(case: dict[str, Any]) -> None:
    kinds = {"direction": Direction, "nan_strategy": NaNStrategy, "measure": Measure}
    config = MetricConfig("m", **{key: kinds.get(key, lambda same: same)(v) for key, v in case["config"].items()})
    got = kayenta.classify(config, *samples(case), compat=True)
    assert got.label.value == case["label"], got
    assert got.critical == case.get("critical", got.critical)


@pytest.mark.parametrize("case", KAYENTA["shifts"], ids=lambda case: case["name"])
def test_kayenta_shifts(case: dict[str, Any]) -> None:
    got = mann_whitney.shift(*samples(case), case["confidence"])
    assert (got.low, got.high) == pytest.approx((case["low"], case["high"]), abs=1e-6)
    assert got.estimate == pytest.approx(case["estimate"], abs=case["tolerance"])


def test_kayenta_rank_sums() -> None:
    """Of "Wilcoxon Diff Function" and "Intermediate Values / Variables"."""
    problem, between = KAYENTA["shifts"][0], KAYENTA["shifts"][-1]
    assert mann_whitney.standardised(0, 0, *samples(problem)) == pytest.approx(-1.229416, abs=1e-6)
    assert mann_whitney.standardised(5, 0, *samples(problem)) == pytest.approx(-35.80606, abs=1e-6)
    least, most, quantile = -3.124999999999986, 5.555555555555557, 1.9599639845400536
    x, y = samples(between)
    assert (x.min() - y.max(), x.max() - y.min()) == pytest.approx((least, most))
    for shift, at, want in (
        (least, quantile, 17.090968923762254),
        (most, quantile, -20.997687930433106),
        (least, -quantile, 21.01089689284236),
        (most, -quantile, -17.077759961353),
    ):
        assert mann_whitney.standardised(shift, at, x, y) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize(
    ("metrics", "weights", "score"),
    [
        ([(PASS, "g")], {}, 100.0),
        ([(HIGH, "g")], {}, 0.0),
        ([(NODATA, "g")], {}, 0.0),
        ([(PASS, "g"), (PASS, "g"), (NODATA, "h")], {}, 100.0),
        ([(PASS, "g"), (HIGH, "g")], {}, 50.0),
        ([(PASS, "g"), (HIGH, "g"), (LOW, "g")], {}, 33.33),
        ([(PASS, "g"), (PASS, "g"), (HIGH, "h")], {"g": 75, "h": 25}, 75.0),
        ([(PASS, "g"), (HIGH, "g"), (HIGH, "h")], {"g": 50, "h": 50}, 25.0),
        ([(PASS, "g"), (NODATA, "g"), (HIGH, "h")], {"g": 50, "h": 50}, 50.0),
        ([(PASS, "g"), (HIGH, "g", True)], {}, 0.0),
        ([(LOW, "g"), (PASS, "g", True)], {}, 50.0),
        ([(PASS, "g"), (NODATA, "g", True)], {}, 0.0),
        ([(HIGH, "g"), (LOW, "g"), (PASS, "g"), (HIGH, "h")], {"g": 15, "h": 85}, 5.0),
    ],
)
def test_kayenta_scores(metrics: list[tuple[Any, ...]], weights: dict[str, float], score: float) -> None:
    results = [
        Classified(str(index), label, groups=(group,), critical=bool(critical))
        for index, (label, group, *critical) in enumerate(metrics)
    ]
    assert kayenta.score(JudgeConfig((), weights), results, compat=True).score == score


NIST = [
    *(30, 171, 184, 201, 212, 250, 265, 270, 272, 289, 305, 306, 322, 322, 336, 346, 351, 370, 390, 404, 409, 411, 436),
    *(437, 439, 441, 444, 448, 451, 453, 470, 480, 482, 487, 494, 495, 499, 503, 514, 521, 522, 527, 548, 550, 559),
    *(560, 570, 572, 574, 578, 585, 592, 592, 607, 616, 618, 621, 629, 637, 638, 640, 656, 668, 707, 709, 719, 737),
    *(739, 752, 758, 766, 792, 792, 794, 802, 818, 830, 832, 843, 858, 860, 869, 918, 925, 953, 991, 1000, 1005, 1068),
    1441,
]


@pytest.mark.parametrize(
    ("values", "outliers"),
    [
        ([21, 23, 24, 25, 50, 29, 23, 21], [50]),
        ([1, 1, 1, 5, -1, -1, -1, -5], [5, -5]),
        (NIST, [1441]),
    ],
)
def test_kayenta_outliers(values: list[float], outliers: list[float]) -> None:
    low, high = kayenta.fences(np.array(values, dtype=np.float64), 1.5)
    assert [value for value in values if not low <= value <= high] == outliers


@pytest.mark.parametrize(
    ("values", "share", "want"),
    [
        ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5], 0.05, 0.175),
        ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5], 0.5, 1.75),
        ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5], 1.0, 3.5),
        (
            [95.1772, 95.1567, 95.1937, 95.1959, 95.1442, 95.061, 95.1591, 95.1195, 95.1772, 95.0925, 95.199, 95.1682],
            0.9,
            95.19568,
        ),
        ([1.0], 1.0, 1.0),
    ],
)
def test_kayenta_percentiles(values: list[float], share: float, want: float) -> None:
    assert kayenta._percentile(np.array(values), share) == pytest.approx(want, abs=1e-9)


def test_kayenta_effect_sizes() -> None:
    def of(size: Any, canary: float, baseline: float) -> float:
        return float(size(np.full(5, canary), np.full(5, baseline)))

    assert of(kayenta.mean_ratio, 1.0, 1.0) == 1.0
    assert of(kayenta.mean_ratio, 10.0, 1.0) == 10.0
    assert of(kayenta.mean_ratio, 10.0, 100.0) == pytest.approx(0.1)
    assert math.isnan(of(kayenta.mean_ratio, 10.0, 0.0))
    same = np.arange(1.0, 6.0)
    assert kayenta.cles(same, same) == 0.5
    assert kayenta.cles(same, same + 20) == 0.0


def counted(**counts: int) -> Tally:
    return Tally(GOES, **counts)


UNTIL_3, UNTIL_5 = (ArgoMetric("m", failure_limit=-1, consecutive_success_limit=limit) for limit in (3, 5))
SEVEN = counted(failed=3, successful=4, consecutive_success=3, count=7)
BOTH = ArgoMetric("m", failure_limit=4, consecutive_success_limit=4)
OF_10 = replace(BOTH, count=10)


def both(failed: int, successful: int, count: int, row: int) -> Tally:
    return counted(failed=failed, successful=successful, count=count, consecutive_success=row)


@pytest.mark.parametrize(
    ("metric", "tally", "going", "ending"),
    [
        (ArgoMetric("m", failure_limit=2), counted(failed=3, count=3), BAD, BAD),
        (ArgoMetric("m", failure_limit=3), counted(failed=3, count=3), GOES, GOOD),
        (UNTIL_3, SEVEN, GOOD, GOOD),
        (UNTIL_5, SEVEN, GOES, GOOD),
        (replace(UNTIL_5, count=7), SEVEN, BAD, BAD),
        (replace(UNTIL_3, count=7), SEVEN, GOOD, GOOD),
        (replace(UNTIL_3, count=9), SEVEN, GOOD, GOOD),
        (replace(UNTIL_5, count=9), SEVEN, GOES, GOOD),
        (BOTH, both(3, 4, 7, 3), GOES, GOOD),
        (BOTH, both(5, 9, 9, 0), BAD, BAD),
        (BOTH, both(3, 5, 8, 4), GOOD, GOOD),
        (BOTH, both(5, 5, 10, 4), BAD, BAD),
        (OF_10, both(4, 6, 10, 3), OPEN, OPEN),
        (OF_10, both(5, 5, 10, 3), BAD, BAD),
        (OF_10, both(4, 6, 10, 4), GOOD, GOOD),
        (OF_10, both(5, 5, 10, 4), BAD, BAD),
        (OF_10, both(3, 5, 8, 3), GOES, GOOD),
        (OF_10, both(5, 3, 8, 3), BAD, BAD),
        (OF_10, both(3, 5, 8, 4), GOOD, GOOD),
        (OF_10, both(5, 4, 9, 4), BAD, BAD),
        (ArgoMetric("m", inconclusive_limit=2), counted(inconclusive=3, count=3), OPEN, OPEN),
        (ArgoMetric("m", inconclusive_limit=3), counted(inconclusive=3, count=3), GOES, GOOD),
        (ArgoMetric("m"), counted(consecutive_error=5, count=5), BROKE, BROKE),
        (ArgoMetric("m"), counted(consecutive_error=4, count=5), GOES, GOOD),
        (ArgoMetric("m", count=10, repeats=False), counted(successful=10, count=10), GOOD, GOOD),
        (ArgoMetric("m", count=10, repeats=False), counted(successful=5, inconclusive=5, count=10), OPEN, OPEN),
        (ArgoMetric("m"), counted(failed=1), BAD, BAD),
        (ArgoMetric("m"), counted(inconclusive=1), OPEN, OPEN),
    ],
)
def test_argo_assesses(metric: ArgoMetric, tally: Tally, going: Phase, ending: Phase) -> None:
    """While the run goes on, and when it is ending."""
    assert argo.assess(metric, tally)[0] is going
    assert argo.conclude(metric, replace(tally, phase=argo.assess(metric, tally)[0])).phase is ending


def test_argo_runs() -> None:
    """What never measured is Pending, and Successful once the run ends; a trial run's metric never counts."""
    one, two = ArgoMetric("latency"), ArgoMetric("success-rate")
    assert argo.conclude(one, Tally()).phase is GOOD
    assert argo.run_phase([(one, Tally(GOOD)), (two, Tally(GOES))]) is GOES
    assert argo.run_phase([(one, Tally(GOOD)), (two, Tally(BAD))]) is BAD
    assert argo.run_phase([(one, Tally(GOES)), (two, Tally(BAD))]) is BAD
    trials = [replace(metric, dry_run=True) for metric in (one, two)]
    assert argo.run_phase([(trials[0], Tally(BAD)), (trials[1], Tally(BAD))]) is GOOD
    assert argo.run_phase([(one, Tally(OPEN)), (trials[1], Tally(BAD))]) is OPEN


@pytest.mark.parametrize(
    ("success", "failure", "want"),
    [
        ("true", "false", GOOD),
        ("true", "true", BAD),
        ("false", "false", OPEN),
        ("", "false", GOOD),
        ("false", "", BAD),
        ("", "", GOOD),
        ("a == true", "true", BROKE),
        ("true", "a == true", BROKE),
    ],
)
def test_argo_measures(success: str, failure: str, want: Phase) -> None:
    assert argo.measure(ArgoMetric("m", success, failure), True, compat=True)[0] is want


@pytest.mark.parametrize("nothing", [None, []])
def test_argo_has_no_data(nothing: Any) -> None:
    assert argo.measure(ArgoMetric("m", "result[0] >= 0.95"), nothing, compat=True)[0] is BROKE


APDEX = {"service_apdex": {"label": None, "values": {"values": [2.0, 2.0]}}}


@pytest.mark.parametrize(
    ("result", "text", "want"),
    [
        (True, "result == true", True),
        (True, "result == false", False),
        (APDEX, "all(result.service_apdex.values.values, {# > 1})", True),
        ([2.0, 2.0], "2 in result", True),
        (5.0, "result > 1", True),
        ("1", "asInt(result) == 1", True),
        (1.123, "asInt(result) == 1", True),
        ("1.1", "asFloat(result) >= 1.1", True),
        (1, "asFloat(result) == 1", True),
        (math.inf, "isInf(result)", True),
        (None, "isNil(result)", True),
        (None, "default(result, 2) == 2", True),
        (1.0, "default(result, 0) == 1", True),
        (True, "1", None),
        (True, "invalidVariable", None),
        (True, "result.Name() == 'hi'", None),
        ("1.1", "asInt(result) == 1.1", None),
        ("NotANum", "asFloat(result) == 1.1", None),
        ("1.1", 'asFloat(result) == "1.1"', None),
    ],
)
def test_argo_evaluates(result: Any, text: str, want: bool | None) -> None:
    """None: an error."""
    if want is None:
        with pytest.raises(ExpressionError):
            condition(text).holds(result)
    else:
        assert condition(text).holds(result) is want


def test_flagger_checks() -> None:
    """The fixture's numbers: 100 % and 100 ms from its Prometheus; failed checks of 10 with a threshold of 10."""
    within = (FlaggerMetric(SUCCESS_RATE, minimum=0, maximum=100), FlaggerMetric(DURATION, minimum=0, maximum=500))
    values: dict[str, float | None] = {SUCCESS_RATE: 100.0, DURATION: 100.0, "fail": 100.0}
    for metric in (*within, FlaggerMetric(SUCCESS_RATE, minimum=99, maximum=100)):
        assert flagger.check(metric, values[metric.name], compat=True)[0] is Outcome.PASS
    assert flagger.check(FlaggerMetric("fail", minimum=0, maximum=50), 100.0, compat=True)[0] is Outcome.FAIL
    analysis = FlaggerAnalysis(within, threshold=10)
    assert flagger.tick(analysis, flagger.Checks(failed=10), values)[1] is Outcome.FAIL
    assert flagger.tick(analysis, flagger.Checks(failed=9), values)[1] is Outcome.PASS
