"""Heartbeats from real containers to `tidegate serve`: over our own network, with their token, judged by the real loop.

Everything of Tidegate's runs as processes on the engine's host (its network namespace), as it would on a real one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine import Engine

pytestmark = [pytest.mark.engine]

ROOT = Path(__file__).resolve().parents[2]
BUSYBOX = "tidegate/base-busybox:latest"

REPORT = r"""
at=${TIDEGATE_URL#http://}; n=0
while :; do
  n=$((n+1))
  body='{"agent": "'$TIDEGATE_AGENT'", "environment": "'$TIDEGATE_ENVIRONMENT'", "instance": "'$TIDEGATE_INSTANCE'"'
  body="$body"', "revision": '$TIDEGATE_REVISION', "version": "'$VERSION'", "status": "ok", "sequence": '$n
  body="$body"', "sent_at": '$(date +%s)', "interval_s": 1}'
  { printf "POST /v1/agents/heartbeat HTTP/1.1\r\nHost: $at\r\nConnection: close\r\nContent-Type: application/json\r\n"
    printf "Authorization: Bearer $TIDEGATE_AGENT_TOKEN\r\nContent-Length: ${#body}\r\n\r\n%s" "$body"
    sleep 1; } | nc ${at%:*} ${at#*:} 2>&1
done
"""
"""An agent in shell: busybox has nc."""

SPEC = """
agent: reporter
workload:
  image: reporter:1.0.0
  command: ["sh", "-c", {script}]
  environment: {{VERSION: "{says}"}}
  stop_grace_period: 0s
  deploy: {{replicas: 2}}
environments:
  prod: {{}}
strategy:
  canary: {{steps: [{{set_weight: 50}}, {{pause: 60s}}], bake: 1s}}
"""


def until(condition: Callable[[], object], what: str, deadline_s: float = 30.0) -> Any:
    end = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.1)
    return value


@dataclass
class Host:
    """The command line on the engine's host."""

    engine: Engine
    folder: Path

    def command(self, *arguments: str) -> tuple[str, ...]:
        return self.engine.slot.enter(sys.executable, "-c", "from tidegate.wiring import main; main()", *arguments)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "DOCKER_HOST": self.engine.url,
            "TIDEGATE_STATE": str(self.folder / "state" / "t.db"),
            "TIDEGATE_SUBNET": self.engine.subnet(2),
        }

    def tidegate(self, *arguments: str, deadline_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environ,
            text=True,
            capture_output=True,
            timeout=deadline_s,
        )

    def start(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as stream:
            return subprocess.Popen(self.command(*arguments), cwd=self.folder, env=self.environ, stderr=stream)

    def write(self, says: str) -> None:
        script = json.dumps(REPORT.replace("$", "$$"))
        (self.folder / "tidegate.yaml").write_text(SPEC.format(script=script, says=says))

    def agents(self) -> dict[str, dict[str, Any]]:
        """Instance -> its row."""
        told = self.tidegate("agents", "--json")
        assert told.returncode == 0, told.stderr
        return {row["instance"]: row for agent in json.loads(told.stdout) for row in agent["instances"]}

    def inside(self, container: str, *argv: str) -> str:
        """Run a command in a container; stdout and stderr, whatever its exit code."""
        return subprocess.run(
            ("docker", "--host", self.engine.url, "exec", container, *argv), text=True, capture_output=True, timeout=20
        ).stdout


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> Iterator[Host]:
    engine.load(BUSYBOX)
    for version in ("1.0.0", "1.1.0"):
        engine.api("POST", f"/images/{BUSYBOX}/tag?repo=reporter&tag={version}")
    host = Host(engine, tmp_path)
    host.write("1.0.0")
    yield host
    for container in engine.containers():
        print(container["Names"], engine.docker("logs", "--tail", "5", container["Id"]))


@pytest.fixture
def serve(host: Host, tmp_path: Path) -> Iterator[Path]:
    """`tidegate serve` runs; its log."""
    log = tmp_path / "serve.log"
    process = host.start(log, "serve")
    try:
        until(lambda: log.exists() and "deciding now" in log.read_text(), "serve decides")
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0, log.read_text()
        assert "stopped; agents and gateway go on" in log.read_text()
    finally:
        process.kill()
        process.wait(5)
        print(log.read_text())  # for whoever reads a failing test


def test_agents_report_and_a_quiet_canary_is_rolled_back(host: Host, serve: Path) -> None:
    first = host.tidegate("deploy", "reporter:1.0.0", deadline_s=90)
    assert first.returncode == 0, first.stderr + serve.read_text()
    names = {"reporter.prod.r1.1", "reporter.prod.r1.2"}
    rows = until(
        lambda: (rows := host.agents()) and {row["health"] for row in rows.values()} == {"alive"} and rows,
        "both instances are alive",
    )
    assert set(rows) == names
    assert {(row["version"], row["interval_s"], row["drifted"]) for row in rows.values()} == {("1.0.0", 1.0, False)}

    gateway = host.engine.subnet(2).replace(".0/24", ".1")
    listening = serve.read_text()
    assert f"listening for heartbeats on http://{gateway}:4319" in listening
    assert "listening for heartbeats on http://127.0.0.1:4319" in listening
    assert "tga_" not in listening
    _only_the_agents_route_is_there(host, gateway)

    # The canary reports, then hangs: for the engine its container still runs.
    deploy = subprocess.Popen(
        host.command("deploy", "reporter:1.1.0"), cwd=host.folder, env=host.environ, stdout=subprocess.PIPE, text=True
    )
    canary = "reporter.prod.r2.1"
    until(lambda: host.agents().get(canary, {}).get("health") == "alive", "the canary reports")
    # Its code still says 1.0.0: that is drift, and shown as such.
    assert host.agents()[canary]["drifted"]
    frozen = time.time()
    host.engine.api("POST", f"/containers/{canary}/kill?signal=SIGSTOP")
    out, _ = deploy.communicate(timeout=60)
    assert deploy.returncode == 3, out + serve.read_text()
    turned = [json.loads(line) for line in host.tidegate("events", "--json", "-n", "0").stdout.splitlines()]
    back = next(event for event in turned if event["kind"] == "phase" and event["data"]["to"] == "reverting")
    assert f"no heartbeat of {canary} for 3." in back["because"]
    assert 1.5 < back["at"] - frozen < 6
    until(lambda: {row["health"] for row in host.agents().values()} == {"alive"}, "stable is as it was")
    assert set(host.agents()) == names


def _only_the_agents_route_is_there(host: Host, gateway: str) -> None:
    """From a container: the agents' route answers, its neighbours do not, and loopback is out of reach."""
    secret = subprocess.Popen(
        host.engine.slot.enter(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "18099"),
        cwd=host.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(
            lambda: (
                subprocess.run(
                    host.engine.slot.enter(
                        sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 18099), 1)"
                    ),
                    capture_output=True,
                ).returncode
                == 0
            ),
            "something listens on loopback",
        )
        assert "refused" in _said(host, gateway, 18099, "GET / HTTP/1.0")
        assert " 404 " in _said(host, gateway, 4319, "GET /v1/state HTTP/1.0")
        assert " 401 " in _said(host, gateway, 4319, "POST /v1/agents/heartbeat HTTP/1.0\\r\\nContent-Length: 0")
    finally:
        secret.kill()
        secret.wait(5)


def _said(host: Host, address: str, port: int, request: str) -> str:
    """What a container gets for a request."""
    ask = f"{{ printf '{request}\\r\\n\\r\\n'; sleep 1; }} | nc -w 3 {address} {port} 2>&1"
    return host.inside("reporter.prod.r1.1", "sh", "-c", ask)


def test_a_second_controller_stands_by_and_takes_over(host: Host, tmp_path: Path) -> None:
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    running = []

    def said(index: int) -> str:
        return logs[index].read_text() if logs[index].exists() else ""

    try:
        running.append(host.start(logs[0], "serve"))
        until(lambda: "listening for heartbeats on http://127.0.0.1:4319" in said(0), "the first one listens")
        running.append(host.start(logs[1], "serve"))
        until(lambda: "standing by: another controller decides" in said(1), "the second one stands by")
        assert "listening" not in said(1)
        running[0].kill()
        until(lambda: "listening for heartbeats on http://127.0.0.1:4319" in said(1), "the second one took over")
        first, second = (int(re.findall(r"epoch (\d+)", said(index))[0]) for index in (0, 1))
        assert second == first + 1
        running[1].send_signal(signal.SIGINT)
        assert running[1].wait(15) == 0
    finally:
        for process in running:
            process.kill()
            process.wait(5)
        print(*map(said, range(2)), sep="\n")
