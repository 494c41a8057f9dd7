"""Kayenta's, Argo's and Flagger's rules at work on blocks: safe by default, exact with compat."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tidegate.core.replay import Replayed, of_series
from tidegate.core.series import CANDIDATE, STABLE
from tidegate.model.judges import (
    Argo,
    ArgoMetric,
    Direction,
    Flagger,
    FlaggerAnalysis,
    FlaggerMetric,
    JudgeConfig,
    Judges,
    Kayenta,
    MetricConfig,
)
from tidegate.model.judging import OnFail, Role
from tidegate.model.observation import Block, Traffic
from tidegate.model.spec import Analysis, ThresholdMetric
from tidegate.model.verdict import Outcome

FLAGGER = Flagger(
    FlaggerAnalysis((FlaggerMetric("request-success-rate", minimum=99.0, query="success_rate"),), threshold=3), 10.0
)
ARGO = Argo(
    (ArgoMetric("errors", failure_condition="result > 0.02", query="error_share", failure_limit=1, interval_s=10.0),)
)
KAYENTA = Kayenta(
    JudgeConfig(
        (
            MetricConfig("errors", ("quality",), Direction.INCREASE, query="error_share"),
            MetricConfig("cpu", ("cost",), source="series", query="cpu"),
        ),
        {"quality": 60.0, "cost": 40.0},
    ),
    step_s=5.0,
    interval_s=60.0,
)


def judged(judges: Judges, block: Callable[[int], Block], seconds: int = 180) -> Replayed:
    return of_series([block(at) for at in range(1, seconds + 1)], Analysis((), None, judges=judges))


def traffic(errors: int, requests: int = 20) -> Callable[[int], Block]:
    chance = random.Random(1)

    def block(at: int) -> Block:
        cpu = {STABLE: 0.4 + chance.uniform(-0.05, 0.05), CANDIDATE: 0.4 + chance.uniform(-0.05, 0.05)}
        stable = sum(chance.random() < 0.01 for _ in range(100))
        return Block(at, 1.0, {STABLE: Traffic(100, stable), CANDIDATE: Traffic(requests, errors)}, {"cpu": cpu})

    return block


def test_flagger_adds_failed_checks_up_and_rolls_back_at_the_tick_after() -> None:
    found = judged(Judges(flagger=FLAGGER), traffic(1))
    assert (found.decision, found.after_s) == ("rolled back", 40.0)
    assert "flagger: failed checks threshold reached 3; 3 failed checks of 3" in found.because
    assert judged(Judges(flagger=FLAGGER), traffic(0)).decision == "promoted"


@pytest.mark.parametrize(("compat", "decision"), [(False, "undecided"), (True, "rolled back")])
def test_flaggers_no_data_fails_with_compat_only(compat: bool, decision: str) -> None:
    assert judged(Judges(flagger=replace(FLAGGER, compat=compat)), traffic(0, requests=0)).decision == decision


def test_argo_counts_failed_measurements_against_its_limit() -> None:
    found = judged(Judges(argo=ARGO), traffic(1))
    assert (found.decision, found.after_s) == ("rolled back", 20.0)
    assert "2 of 2 measurements failed (failureLimit 1)" in found.because
    assert judged(Judges(argo=ARGO), traffic(0)).decision == "promoted"


@pytest.mark.parametrize(("compat", "decision"), [(False, "undecided"), (True, "promoted")])
def test_argos_nan_passes_a_failure_condition_with_compat_only(compat: bool, decision: str) -> None:
    assert judged(Judges(argo=replace(ARGO, compat=compat)), traffic(0, requests=0)).decision == decision


def test_argos_conditions_may_read_a_vector() -> None:
    listed = replace(ARGO.metrics[0], failure_condition="", success_condition="result[0] <= 0.02")
    assert judged(Judges(argo=replace(ARGO, metrics=(listed,))), traffic(1)).decision == "rolled back"
    assert judged(Judges(argo=replace(ARGO, metrics=(listed,))), traffic(0)).decision == "promoted"


def test_a_source_in_error_is_inconclusive_and_aborts_with_compat_as_argo_does() -> None:
    metric = replace(ARGO.metrics[0], source="prom", query="x", consecutive_error_limit=2)

    def away(at: int) -> Block:
        return Block(at, 1.0, {CANDIDATE: Traffic(1, 0)}, missing={"prom": "cannot be reached"})

    ours, theirs = (judged(Judges(argo=Argo((metric,), compat=compat)), away) for compat in (False, True))
    assert ours.decision == "undecided"
    assert "cannot be reached" in ours.because
    assert (theirs.decision, theirs.after_s) == ("rolled back", 30.0)


def test_kayenta_judges_both_sides_at_each_interval_with_groups_and_scores() -> None:
    found = judged(Judges(kayenta=KAYENTA), traffic(2))
    assert (found.decision, found.after_s) == ("rolled back", 60.0)
    assert "kayenta: score 40 (95 passes, 75 is marginal) after 12 samples: errors High (High: shift" in found.because
    marginal = replace(KAYENTA, rules=replace(KAYENTA.rules, marginal_score=40.0))
    assert judged(Judges(kayenta=marginal), traffic(2)).decision == "undecided"
    assert judged(Judges(kayenta=KAYENTA), traffic(0)).decision == "promoted"
    early = judged(Judges(kayenta=KAYENTA), traffic(2), 50)
    assert early.decision == "undecided"
    assert "not judged yet" in early.because


def test_a_judge_that_observes_tells_and_acts_on_nothing() -> None:
    watching = replace(FLAGGER, role=Role.OBSERVE)
    found = judged(Judges(flagger=watching, argo=replace(ARGO, on_fail=OnFail.NOTIFY)), traffic(1))
    assert found.decision == "promoted"
    assert {one.metric: one.outcome for one in found.verdict.metrics} == {"argo": Outcome.FAIL, "flagger": Outcome.FAIL}
    assert found.notices[0].startswith("20 s: argo: ")


@pytest.mark.parametrize(
    ("text", "value", "compat", "decision"),
    [
        ("isNaN(result[0]) || result[0] < 5", math.nan, False, "promoted"),
        ("isNaN(result[0]) || result[0] < 5", math.nan, True, "promoted"),
        ("isNaN(result) || result < 5", math.nan, True, "promoted"),
        ("result < 5", math.nan, False, "undecided"),
        ("result < 5", math.nan, True, "rolled back"),
        ("default(result, 0) < 5", None, False, "promoted"),
        ("isNil(result)", None, True, "promoted"),
        ("len(result) == 0 || result[0] < 5", None, False, "promoted"),
        ("all(result, {# < 5})", 3.0, False, "promoted"),
        ("result[0] < 5", None, False, "undecided"),
    ],
)
def test_argos_nan_stays_nan_and_no_data_is_nil_or_an_empty_list(
    text: str, value: float | None, compat: bool, decision: str
) -> None:
    metric = ArgoMetric("cpu", text, source="stats", query="cpu_share", interval_s=10.0)

    def block(at: int) -> Block:
        return Block(at, 1.0, {CANDIDATE: Traffic(1, 0)}, {"cpu": {} if value is None else {CANDIDATE: value}})

    assert judged(Judges(argo=Argo((metric,), compat=compat)), block).decision == decision


@pytest.mark.parametrize(
    ("text", "outcome"), [("result > 500", Outcome.INCONCLUSIVE), ("isNaN(result) || result > 500", Outcome.FAIL)]
)
def test_a_threshold_never_passes_on_nan(text: str, outcome: Outcome) -> None:
    metric = ThresholdMetric("p99", query="latency_p99", failure_condition=text, interval_s=5.0)
    blocks = [Block(at, 1.0, {CANDIDATE: Traffic(10, 0)}) for at in range(1, 30)]
    found = of_series(blocks, Analysis((metric,), None)).verdict.metrics
    assert [one.outcome for one in found] == [outcome]
