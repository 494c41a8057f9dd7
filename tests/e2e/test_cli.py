"""The command line as a person uses it, on a real engine: processes of their own, a spec, a state, exit codes."""

import json
import os
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.real import AGENT
from tests.engine import Engine

pytestmark = pytest.mark.engine

SPEC = """
agent: web
workload:
  image: tidegate/base-python:bookworm
  command: [python3, /agent.py]
  volumes: [./agent.py:/agent.py:ro]
  environment: {VERSION: "${VERSION:-1.0.0}", FAIL_EVERY: "0"}
  deploy: {replicas: 2}
probes:
  readiness: {httpGet: {port: 8080, path: /ready}, period: 200ms}
routes:
  - {listen: 18090, target: 8080}
strategy:
  canary:
    steps: [{set_weight: 20}, {pause: {}}]
    bake: 1s
    drain: 1s
analysis:
  metrics:
    - {name: errors, query: error_share, failure_condition: result > 0.5, interval: 1s, on_fail: notify}
"""
START = "from tidegate.wiring import main; main()"


@dataclass(frozen=True)
class Shell:
    """A folder with a spec, on an engine."""

    engine: Engine
    folder: Path

    def start(self, *arguments: str, **environ: str) -> "subprocess.Popen[str]":
        """A command in a process of its own."""
        more = {
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
            "DOCKER_HOST": self.engine.url,
            "TIDEGATE_STATE": str(self.folder / "state" / "t.db"),
            "TIDEGATE_SUBNET": self.engine.subnet(2),
            **environ,
        }
        return subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            cwd=self.folder,
            env={**os.environ, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """To its end."""
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def data(self, *arguments: str) -> Any:
        """What it gives with --json."""
        return json.loads(self.run(*arguments, "--json")[1])

    def serves(self) -> str:
        """Which version answers behind the gateway."""
        with urllib.request.urlopen(f"http://{self.engine.address}:18090/", timeout=5) as answer:
            return str(answer.read().decode())


@pytest.fixture
def shell(engine: Engine, tmp_path: Path) -> Shell:
    engine.load("tidegate/base-python")
    engine.load("tidegate/gateway")
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "tidegate.yaml").write_text(SPEC)
    return Shell(engine, tmp_path)


def names(shell: Shell) -> list[str]:
    return sorted(
        one["Names"][0].lstrip("/") for one in shell.engine.containers() if "gateway" not in str(one["Names"])
    )


def test_a_day_at_the_command_line(shell: Shell) -> None:
    assert shell.run("doctor")[0] == 0
    code, out, err = shell.run("deploy", "--by", "ada")
    assert (code, out.split(" after ")[0]) == (0, "Update complete: web.default runs revision 1 (bookworm)"), err
    assert shell.serves() == "1.0.0"

    shell.run("scale", "3")
    assert names(shell) == [f"web.default.r1.{n}" for n in (1, 2, 3)]
    assert shell.run("scale", "2")[0] == 0
    assert names(shell) == ["web.default.r1.1", "web.default.r1.2"]

    code, out, err = shell.run("deploy", VERSION="1.1.0")
    assert code == 5, out + err
    tracks = {one["name"]: one for one in shell.data("status")["tracks"]}
    assert tracks["canary"]["weight"] == 20
    assert [one["ready"] for one in tracks["canary"]["instances"]] == [True]
    assert shell.run("abort", "--reason", "looks odd")[0] == 0
    assert names(shell) == ["web.default.r1.1", "web.default.r1.2"]
    assert "looks odd" in shell.run("explain")[1]

    shell.run("deploy", VERSION="1.2.0")
    code, out, err = shell.run("promote", "--full", VERSION="1.2.0")
    assert code == 0, out + err
    assert shell.serves() == "1.2.0"
    assert shell.run("undo", "--to-revision", "1")[0] == 0
    assert shell.serves() == "1.0.0"
    assert "web.default.r4." in shell.run("logs", "-n", "1")[1]  # of whichever of the two answered
    ends = [(one["revision"], one["end"], one["undo_of"]) for one in shell.data("history")["revisions"]]
    assert ends == [(1, "promoted", None), (2, "aborted", None), (3, "promoted", None), (4, "promoted", 1)]

    assert shell.run("decommission", "--yes")[0] == 0
    assert names(shell) == []


def test_an_engine_that_is_away_is_told_with_what_helps(shell: Shell) -> None:
    code, _, err = shell.run("plan", DOCKER_HOST="unix:///nowhere.sock")
    assert code == 1
    assert "errors.md#engine-unreachable" in err
    code, out, _ = shell.run("doctor", "--json", DOCKER_HOST="unix:///nowhere.sock")
    assert code == 1
    assert not json.loads(out)["usable"]
