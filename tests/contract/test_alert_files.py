"""What `tidegate alerts export` writes, read by the programs that it is for: Debian's promtool and amtool."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.test_cli import Command, here, tidegate

__all__ = ["here", "tidegate"]

SPEC = """
agent: web
workload: {image: "web:1.0.0"}
environments:
  staging: {platform: memory}
analysis: {sources: {scrape: {port: 8080}}}
alerts:
  rules:
    - {name: cpu_high, on_alert: rollback, labels: {team: "a"}}
    - {name: idle, source: gateway, query: request_rate, below: 0.5, clear: 1, over: 10m}
    - {name: SloBurn, source: alertmanager, on_alert: rollback}
"""


def checked(*command: str) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed (scripts/engine.sh --tests)")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def spec(here: Path) -> Path:
    (here / "tidegate.yaml").write_text(SPEC)
    (here / "token").write_text("tgt_x")
    return here


def written(tidegate: Command, form: str, folder: Path) -> Path:
    code, out, _ = tidegate("alerts", "export", form, "--token-file", str(folder / "token"))
    assert code == 0
    (folder / f"{form}.yml").write_text(out)
    return folder / f"{form}.yml"


def test_promtool_takes_the_rules(spec: Path, tidegate: Command) -> None:
    said = checked("promtool", "check", "rules", str(written(tidegate, "prometheus", spec)))
    assert "SUCCESS: 16 rules found" in said  # eight shipped and own rules, a recording and an alerting rule each


def test_promtool_takes_the_scrape_configuration(spec: Path, tidegate: Command) -> None:
    assert "SUCCESS" in checked("promtool", "check", "config", str(written(tidegate, "scrape", spec)))


def test_amtool_takes_the_receiver(spec: Path, tidegate: Command) -> None:
    assert "SUCCESS" in checked("amtool", "check-config", str(written(tidegate, "alertmanager", spec)))


def test_promtool_sees_an_alert_fire_and_stay_while_it_is_not_clear(spec: Path, tidegate: Command) -> None:
    """The rules as Prometheus runs them, against a series: promtool test rules."""
    rules = written(tidegate, "prometheus", spec)
    series = "tidegate_alert_signal{" + ",".join(
        f'{name}="{value}"'
        for name, value in {
            "agent": "web", "environment": "staging", "rule": "cpu_high", "subject": "web.staging.r1.1", "revision": "1"
        }.items()
    ) + "}"  # fmt: skip
    labels = "{agent: web, environment: staging, revision: '1', severity: warning, team: a, subject: web.staging.r1.1}"
    note = "{summary: 'CPU near its limit: web.staging.r1.1 of web.staging', description: "
    (spec / "test.yml").write_text(
        f"""
rule_files: [{rules}]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series: [{{series: '{series}', values: '0.9x40 0.8x40 0.5x40'}}]
    alert_rule_test:
      - {{eval_time: 4m, alertname: cpu_high, exp_alerts: []}}
      - eval_time: 6m
        alertname: cpu_high
        exp_alerts: [{{exp_labels: {labels}, exp_annotations: {note}'0.9 (mean of cpu_share over 60 s > 0.85)'}}}}]
      - eval_time: 15m
        alertname: cpu_high
        exp_alerts: [{{exp_labels: {labels}, exp_annotations: {note}'0.8 (mean of cpu_share over 60 s > 0.85)'}}}}]
      - {{eval_time: 25m, alertname: cpu_high, exp_alerts: []}}
"""
    )
    assert "SUCCESS" in checked("promtool", "test", "rules", str(spec / "test.yml"))


def test_the_operators_resource_holds_the_same_rules(spec: Path, tidegate: Command) -> None:
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    resource = reader.load(written(tidegate, "prometheusrule", spec).read_text())
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["metadata"]["name"] == "tidegate-web-staging"
    assert resource["spec"] == reader.load(written(tidegate, "prometheus", spec).read_text())


def test_rules_and_alerts_are_shown(spec: Path, tidegate: Command) -> None:
    code, out, _ = tidegate("alerts", "rules")
    assert code == 0
    assert "SloBurn           alertmanager  as an Alertmanager tells" in out
    code, out, err = tidegate("alerts")
    assert (code, out) == (0, "")
    assert err == "no rules are in force; alerts in tidegate.yaml says which\n"
