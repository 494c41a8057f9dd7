"""alerts in tidegate.yaml: shipped rules, own ones, environments, and what is wrong with them."""

import pytest

from tidegate.model.alerting import ALERTMANAGER, NO_ALERTS, SHIPPED, Alerting, AlertRule, Fold, OnAlert, Severity
from tidegate.model.errors import SpecError
from tidegate.spec import parse_spec
from tidegate.spec.loader import parse


def alerting(text: str, environment: str = "default") -> Alerting:
    made = parse_spec(f"agent: web\nworkload: {{image: 'web:1'}}\n{text}")
    return made.environments[environment].policy.alerts


def problem(rule: str) -> str:
    with pytest.raises(SpecError) as caught:
        alerting(f"alerts: {{rules: [{rule}]}}")
    return str(caught.value)


def test_nothing_written_means_no_rules() -> None:
    assert alerting("") == NO_ALERTS


def test_the_shipped_rules_come_with_the_key_and_task_delay_with_metrics() -> None:
    names = [rule.name for rule in SHIPPED]
    assert [rule.name for rule in alerting("alerts:").rules] == [name for name in names if name != "task_delay"]
    scraped = alerting("alerts: {}\nanalysis: {sources: {mine: {kind: scrape, port: 9000}}}")
    assert [rule.name for rule in scraped.rules] == names
    assert scraped.origins[0].name == "mine"
    assert alerting("alerts: {defaults: false}").rules == ()
    wanted = alerting("alerts: {rules: [{name: task_delay, above: 5}]}")
    assert wanted.rule("task_delay") is not None


def test_a_shipped_name_changes_that_rule() -> None:
    shipped = next(rule for rule in SHIPPED if rule.name == "cpu_high")
    rule = alerting("alerts: {rules: [{name: cpu_high, onAlert: rollback}]}").rule("cpu_high")
    assert rule is not None
    assert (rule.on_alert, rule.above, rule.clear, rule.for_s) == (OnAlert.ROLLBACK, shipped.above, shipped.clear, 300)
    rule = alerting("alerts: {rules: [{name: cpu_high, above: 0.5}]}").rule("cpu_high")
    assert rule is not None
    assert (rule.above, rule.clear) == (0.5, None)  # 0.75 would never be clear


def test_a_rule_of_ones_own() -> None:
    made = alerting(
        """
alerts:
  within: 10m
  defaults: false
  rules:
    - name: deaths
      source: stats
      query: oom_kills
      above: 0
      over: 10m
      fold: increase
      for: 1m
      consecutive: 3
      every: 20s
      keep_firing_for: 0s
      severity: critical
      labels: {team: mail}
      on_alert: pause
      summary: out of memory
    - {name: Budget, source: alertmanager, on_alert: rollback}
"""
    )
    own = AlertRule(
        "deaths", "stats", "oom_kills", above=0.0, over_s=600.0, fold=Fold.INCREASE, for_s=60.0, consecutive=3,
        every_s=20.0, keep_firing_s=0.0, severity=Severity.CRITICAL, labels={"team": "mail"}, on_alert=OnAlert.PAUSE,
        summary="out of memory",
    )  # fmt: skip
    assert made == Alerting((own, AlertRule("Budget", ALERTMANAGER, on_alert=OnAlert.ROLLBACK)), (), 600.0)
    assert own.condition == "increase of oom_kills over 600 s > 0"


def test_an_environment_has_its_own_in_place_of_those_at_the_top() -> None:
    text = "alerts: {}\nenvironments: {staging: {alerts: {defaults: false}}, production: {}}"
    assert alerting(text, "staging") == NO_ALERTS
    assert len(alerting(text, "production").rules) == len(SHIPPED) - 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{source: stats, query: cpu_share, above: 1}", "name is missing"),
        ("{name: a, source: stats, above: 1}", "query is missing"),
        ("{name: a, query: error_share}", "one of above and below is needed"),
        ("{name: a, query: error_share, above: 1, below: 0}", "one of above and below is needed"),
        ("{name: a, query: error_share, above: 1, clear: 2}", "clear lies beyond the limit"),
        ("{name: a, query: error_share, below: 1, clear: 0.5}", "clear lies beyond the limit"),
        ("{name: a, query: error_rate, above: 1}", "the gateway cannot measure 'error_rate'"),
        ("{name: a, source: stats, query: cpu, above: 1}", "stats cannot measure 'cpu'"),
        ("{name: a, source: nowhere, query: cpu, above: 1}", "'nowhere' is no metric source"),
        ("{name: a, source: stats, query: restarts, above: 1, fold: increase}", "increase needs a time to grow in"),
        ("{name: a, source: alertmanager, above: 1}", "a is evaluated elsewhere"),
        ("{name: a, expr: up, query: error_share, above: 1}", "query with above or below"),
        ("{name: a-b, query: error_share, above: 1}", "alerts.rules[0].name"),
        ("{name: a, query: error_share, above: 1}, {name: a, query: error_share, above: 2}", "two rules are called a"),
    ],
)
def test_what_is_wrong_is_said(rule: str, said: str) -> None:
    assert said in problem(rule)


def test_a_pipeline_that_nobody_starts_is_warned_of() -> None:
    text = "agent: web\nworkload: {image: 'web:1'}\nalerts: {rules: [{name: restarts, on_alert: pipeline}]}\n"
    assert [one.message for one in parse(text, "tidegate.yaml", {}).warnings] == [
        "an alert starts a pipeline, and notify names none"
    ]
    started = text + "notify: [{gitlab: {url: 'https://git.example.org/x', token: {environment: TOKEN}}}]\n"
    assert parse(started, "tidegate.yaml", {}).warnings == ()


def test_a_prometheus_evaluates_its_own_rules() -> None:
    with pytest.raises(SpecError, match="source: alertmanager"):
        alerting(
            "analysis: {sources: {p: {kind: prometheus, url: 'http://p:9090'}}}\n"
            "alerts: {rules: [{name: a, source: p, query: up, below: 1}]}"
        )
