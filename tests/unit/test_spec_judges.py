"""analysis.judges in a spec: their own spellings are understood, and lint warns of compat."""

from pathlib import Path

import pytest

from tidegate.model.errors import SpecError
from tidegate.model.judges import Direction, FlaggerMetric, MetricConfig
from tidegate.spec import lint_text, load_policy, parse_spec

SPEC = """
agent: web
routes: [{listen: 80, target: 80}]
workload: {image: "web:1"}
"""
JUDGES = """
analysis:
  judges:
    flagger:
      interval: 30s
      threshold: 5
      metrics:
        - {name: request-success-rate, thresholdRange: {min: 99}}
        - {name: request-duration, thresholdRange: {max: 500}}
    argo:
      metrics:
        - {name: success-rate, query: success_rate, interval: 1m, successCondition: "result[0] >= 95", failureLimit: 3}
    kayenta:
      groupWeights: {errors: 60, latency: 40}
      pass: 90
      marginal: 60
      metrics:
        - {name: errors, query: error_share, groups: [errors], direction: increase, critical: true, nanStrategy: remove}
        - {name: slow, query: latency_p95, groups: latency}
"""


def test_rules_are_read_in_their_own_spelling() -> None:
    judges = parse_spec(SPEC + JUDGES).analysis.judges
    assert judges.flagger is not None
    assert judges.flagger.rules.threshold == 5
    assert judges.flagger.rules.metrics == (
        FlaggerMetric("request-success-rate", minimum=99.0, query="success_rate"),
        FlaggerMetric("request-duration", maximum=500.0, query="latency_p99"),
    )
    assert judges.argo is not None
    [success] = judges.argo.metrics
    assert (success.interval_s, success.failure_limit, success.repeats) == (60.0, 3, True)
    assert judges.kayenta is not None
    rules = judges.kayenta.rules
    assert (rules.pass_score, rules.marginal_score, dict(rules.group_weights)) == (
        90,
        60,
        {"errors": 60, "latency": 40},
    )
    assert rules.metrics[0] == MetricConfig(
        "errors", ("errors",), Direction.INCREASE, critical=True, query="error_share"
    )
    assert rules.metrics[1].groups == ("latency",)
    assert [one.compat for one in (judges.flagger, judges.argo, judges.kayenta)] == [False] * 3


def test_lint_warns_of_compat_and_says_what_is_unsafe() -> None:
    text = SPEC + JUDGES.replace("interval: 30s", "interval: 30s\n      compat: true")
    [warning] = [one for one in lint_text(text, {}) if "compat" in one.key]
    assert warning.warning
    assert "a check without values counts as failed" in warning.message
    assert not [one for one in lint_text(SPEC + JUDGES, {}) if "compat" in one.key]


def test_a_policy_may_be_a_spec_or_analysis_alone(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(SPEC + JUDGES)
    (tmp_path / "alone.yaml").write_text(JUDGES)
    assert load_policy(tmp_path / "whole.yaml", {}) == load_policy(tmp_path / "alone.yaml", {})
    (tmp_path / "wrong.yaml").write_text("analysis: {metric: []}\n")
    with pytest.raises(SpecError, match=r"metric: is unknown"):
        load_policy(tmp_path / "wrong.yaml", {})
