"""A real Prometheus finds real agents, its alert goes through a real Alertmanager, and a release goes back."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.host import LISTEN, PROGRAM, ROOT, SPECS, Host, until
from tests.engine import Engine

pytestmark = [pytest.mark.engine]

PROMETHEUS, ALERTMANAGER = "127.0.0.1:9090", "127.0.0.1:9093"
RULES = """
groups:
  - name: web
    rules:
      - alert: Burning
        expr: web_burning == 1
        for: 1s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.tidegate_instance }} burns"}
"""
QUICK = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9093"]}]}]}
"""


@contextmanager
def program(host: Host, *command: str) -> Iterator[None]:
    """A program on the engine's host while the block runs."""
    log = host.folder / f"{command[0]}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(host.engine.slot.enter(*command), cwd=host.folder, stdout=stream, stderr=stream)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        print(log.read_text()[-3000:])  # for whoever reads a failing test


def said(host: Host, *arguments: str) -> str:
    """What a command that knows no spec says."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TIDEGATE_STATE": str(host.state)}
    command = (sys.executable, "-c", PROGRAM, *arguments)
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True).stdout


def phases(host: Host) -> set[tuple[str, str]]:
    """Alert and phase, as stored."""
    return {(alert["rule"], alert["phase"]) for alert in host.stored().get("alerts", ())}


def prepare(host: Host) -> None:
    """What `tidegate alerts export` writes, with a quicker pulse, and a token that it finds."""
    token = host.folder / "monitoring.token"
    token.write_text(
        said(host, "token", "create", "monitoring", "--role", "ci", "--agent", "web", "-e", "prod").strip()
    )
    for form, name in (("scrape", "prometheus.yml"), ("alertmanager", "alertmanager.yml")):
        done = host.tidegate("alerts", "export", form, "--token-file", str(token))
        assert done.code == 0, done
        text = done.out.replace("refresh_interval: 15s", "refresh_interval: 1s")
        text = text.replace("group_wait: 1s", "group_wait: 0s").replace("group_interval: 10s", "group_interval: 1s")
        (host.folder / name).write_text((QUICK if form == "scrape" else "") + text)
    (host.folder / "rules.yml").write_text(RULES)


def served(engine: Engine) -> str:
    with urllib.request.urlopen(f"http://{engine.address}:{LISTEN}/", timeout=15) as answer:
        return str(answer.read().decode())


def test_an_alert_of_a_real_prometheus_takes_a_release_back(engine: Engine, tmp_path: Path) -> None:
    for name in ("prometheus", "prometheus-alertmanager", "promtool", "amtool"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed (scripts/engine.sh --tests)")
    host = Host(engine, tmp_path, SPECS / "alerts.yaml")
    prepare(host)
    for check in (("promtool", "check", "config", "prometheus.yml"), ("amtool", "check-config", "alertmanager.yml")):
        done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
    with ExitStack() as running:
        running.enter_context(host.serving())
        alertmanager = ("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager")
        alone = (f"--web.listen-address={ALERTMANAGER}", "--cluster.listen-address=")
        running.enter_context(program(host, *alertmanager, *alone))
        prometheus = ("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus")
        running.enter_context(program(host, *prometheus, f"--web.listen-address={PROMETHEUS}"))
        host.deployed("1.0.0")
        host.version("1.1.0")
        done = host.tidegate("deploy", VERSION="1.1.0", BURNING="1")
        assert done.code == 3, done
        rollout = host.stored()["rollout"]
        assert rollout["phase"] == "rolled_back"
        assert rollout["fault"] == "alert Burning of web.prod.r2.1 fires: web.prod.r2.1 burns"
        assert {served(engine) for _ in range(10)} == {"1.0.0"}
        shown = json.loads(said(host, "alerts", "--all", "--json"))
        (alert,) = (row for row in shown if row["alert"] == "Burning")
        assert (alert["alert"], alert["subject"], alert["source"]) == ("Burning", "web.prod.r2.1", "alertmanager")
        assert alert["severity"] == "critical"
        until(lambda: {("scraped", "firing"), ("metered", "firing")} <= phases(host))  # measured here, of stable
        until(lambda: ("Burning", "resolved") in phases(host))  # its target is gone, and Prometheus says so by itself
        told = [event["data"]["end"] for event in host.events("alert") if event["data"]["alert"] == "Burning"]
        assert told == ["alert_firing", "alert_resolved"]
