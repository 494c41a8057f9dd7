"""Rules as files of other tools: Prometheus, its operator for Kubernetes, scrape and Alertmanager settings. Plain data.

The rules look at tidegate_alert_signal of Tidegate's own /metrics, so that both evaluate the same numbers.
Sources: https://prometheus.io/docs/prometheus/latest/configuration/ (recording_rules, alerting_rules, http_sd_config),
https://prometheus-operator.dev/docs/api-reference/api/ (PrometheusRule).
"""

from typing import Any
from urllib.parse import urlsplit

from tidegate.model.alerting import ALERTMANAGER, Alerting, AlertRule
from tidegate.model.release import AgentKey

SIGNAL = "tidegate_alert_signal"
BY = "agent, environment, subject, revision"


def prometheus(key: AgentKey, alerting: Alerting) -> dict[str, Any]:
    """A rule file: for each rule a recording rule and the alerting rule on it."""
    ours = [rule for rule in alerting.rules if rule.source != ALERTMANAGER]
    rules = [one for rule in ours for one in (_record(key, rule), _alert(rule))]
    return {"groups": [{"name": f"tidegate.{key.agent}.{key.environment}", "interval": "15s", "rules": rules}]}


def prometheusrule(key: AgentKey, alerting: Alerting) -> dict[str, Any]:
    """The same as a resource of the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"tidegate-{key.agent}-{key.environment}",
            "labels": {"app.kubernetes.io/managed-by": "tidegate", "app.kubernetes.io/name": key.agent},
        },
        "spec": prometheus(key, alerting),
    }


def scrape(url: str, token_file: str) -> dict[str, Any]:
    """What a Prometheus needs to read Tidegate's own metrics, and those of every agent by http_sd."""
    parts = urlsplit(url)

    def access() -> dict[str, Any]:
        return {"authorization": {"type": "Bearer", "credentials_file": token_file}}

    return {
        "scrape_configs": [
            {
                "job_name": "tidegate",
                "scheme": parts.scheme,
                **access(),
                "static_configs": [{"targets": [parts.netloc]}],
            },
            {
                "job_name": "tidegate_agents",
                "http_sd_configs": [{"url": f"{url.rstrip('/')}/v1/http_sd", "refresh_interval": "15s", **access()}],
            },
        ]
    }


def alertmanager(url: str, token_file: str) -> dict[str, Any]:
    """A receiver that tells Tidegate of every alert, and a route to it beside those that there are."""
    hook = {
        "url": f"{url.rstrip('/')}/v1/alertmanager",
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": token_file}},
    }
    return {
        "route": {
            "receiver": "tidegate",
            "group_by": ["alertname", "agent", "environment"],
            "group_wait": "1s",
            "group_interval": "10s",
        },
        "receivers": [{"name": "tidegate", "webhook_configs": [hook]}],
    }


def _named(rule: AlertRule) -> str:
    return f"tidegate:{rule.name}"


def _record(key: AgentKey, rule: AlertRule) -> dict[str, Any]:
    chosen = f'agent="{key.agent}",environment="{key.environment}",rule="{rule.name}"'
    worst = "max" if rule.above is not None else "min"
    return {"record": _named(rule), "expr": f"{worst} by ({BY}) ({SIGNAL}{{{chosen}}})"}


def _alert(rule: AlertRule) -> dict[str, Any]:
    waits = max(rule.for_s, (rule.consecutive - 1) * rule.every_s)
    summary = rule.summary or rule.condition
    alert: dict[str, Any] = {"alert": rule.name, "expr": _condition(rule)}
    alert |= {"for": f"{waits:.0f}s"} if waits else {}
    alert |= {"keep_firing_for": f"{rule.keep_firing_s:.0f}s"} if rule.keep_firing_s else {}
    return {
        **alert,
        "labels": {**rule.labels, "severity": rule.severity.value},
        "annotations": {
            "summary": f"{summary}: {{{{ $labels.subject }}}} of {{{{ $labels.agent }}}}.{{{{ $labels.environment }}}}",
            "description": f"{{{{ $value }}}} ({rule.condition})",
        },
    }


def _condition(rule: AlertRule) -> str:
    """The limit; where another one ends it, that one for what fires already."""
    sign, limit = (">", rule.above) if rule.above is not None else ("<", rule.below)
    bad = f"{_named(rule)} {sign} {limit:g}"
    if rule.clear is None:
        return bad
    firing = f'ALERTS{{alertname="{rule.name}",alertstate="firing"}}'
    return f"{bad} or ({_named(rule)} {sign} {rule.clear:g} and on ({BY}) {firing})"
