"""What can become of an agent on a real engine, each told apart: killed, frozen, cut off, its clock set, no centre.

Everything of Tidegate's runs as processes on the engine's host, as in test_heartbeats.py.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

# ruff: noqa: F811 (fixtures are imported by their names)
from tests.e2e.test_heartbeats import REPORT, Host, host, serve, until  # noqa: F401 (fixtures)

pytestmark = [pytest.mark.engine]

WITH_A_CLOCK = REPORT.replace("$(date +%s)", "$(($(date +%s) + $(cat /tmp/ahead 2>/dev/null || echo 0)))")
"""The same agent with a clock that can be set: a container has that of its host."""


def events(host: Host, *kinds: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in host.tidegate("events", "--json", "-n", "0").stdout.splitlines()]
    return [event for event in told if event["kind"] in kinds]


def told(host: Host, words: str, deadline_s: float = 40.0) -> dict[str, Any]:
    """The first event that says so."""

    def found() -> dict[str, Any] | None:
        return next(
            (one for one in events(host, "heartbeat", "restart", "unreachable") if words in one["because"]), None
        )

    event: dict[str, Any] = until(found, words, deadline_s)
    return event


def health(host: Host, instance: str) -> str:
    return str(host.agents().get(instance, {}).get("health"))


def test_what_became_of_an_agent_is_told_apart(host: Host, serve: Path) -> None:
    text = (host.folder / "tidegate.yaml").read_text()
    script = json.dumps(WITH_A_CLOCK.replace("$", "$$"))
    text = text.replace(json.dumps(REPORT.replace("$", "$$")), script)
    (host.folder / "tidegate.yaml").write_text(text.replace("replicas: 2", "replicas: 4"))
    first = host.tidegate("deploy", "reporter:1.0.0", deadline_s=120)
    assert first.returncode == 0, first.stderr + serve.read_text()
    killed, frozen, cut, ahead = (f"reporter.prod.r1.{index}" for index in (1, 2, 3, 4))
    until(lambda: {health(host, one) for one in (killed, frozen, cut, ahead)} == {"alive"}, "all report", 60)

    # SIGKILL: the container exits; it is started again, and reports as a new process.
    host.engine.api("POST", f"/containers/{killed}/kill?signal=SIGKILL")
    # SIGSTOP: the container runs, and is silent.
    host.engine.api("POST", f"/containers/{frozen}/kill?signal=SIGSTOP")
    # The network is cut: the container runs without an address, which the engine tells; it is made anew.
    host.engine.docker("network", "disconnect", "-f", "tidegate", cut)
    # The clock jumps: it reports as before.
    host.inside(ahead, "sh", "-c", "echo 3600 > /tmp/ahead")

    at_freeze = told(host, f"no heartbeat of {frozen}")
    assert "its container is running: its process hangs, or cannot reach us" in at_freeze["because"]
    until(lambda: [one for one in events(host, "operation") if "took it off our network" in one["because"]], "told")
    jumped = told(host, f"the clock of {ahead} is ")  # an agent that sends whole seconds is up to a second behind
    assert jumped["data"]["skew_s"] == pytest.approx(3600, abs=5), jumped["because"]
    until(lambda: host.agents()[ahead]["health"] == "alive", "the one with the wrong clock is alive")
    for one in (killed, cut):
        until(lambda: health(host, one) == "alive", f"{one} is back", 60)  # noqa: B023 (called at once)
        assert not [event for event in events(host, "heartbeat") if f"no heartbeat of {one}" in event["because"]]
    exited = [one for one in events(host, "restart") if killed in json.dumps(one)]
    assert exited or host.agents()[killed]["last_at"], "its end is the engine's to tell"
    assert health(host, frozen) == "gone"
    host.engine.api("POST", f"/containers/{frozen}/kill?signal=SIGCONT")
    told(host, f"{frozen} reports again")

    assert len(events(host, "heartbeat")) >= 3


def test_the_centres_own_absence_is_nobodys_death(host: Host, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    process = host.start(log, "serve")
    try:
        until(lambda: log.exists() and "deciding now" in log.read_text(), "serve decides")
        assert host.tidegate("deploy", "reporter:1.0.0", deadline_s=90).returncode == 0
        names = [f"reporter.prod.r1.{index}" for index in (1, 2)]
        until(lambda: {health(host, one) for one in names} == {"alive"}, "both report")
        process.send_signal(signal.SIGKILL)
        process.wait(5)
        # Frozen while nobody listens, and longer than its deadline.
        host.engine.api("POST", f"/containers/{names[0]}/kill?signal=SIGSTOP")
        time.sleep(5)
        again, began = tmp_path / "again.log", time.time()
        process = host.start(again, "serve")
        until(lambda: again.exists() and "deciding now" in again.read_text(), "serve decides again")
        until(lambda: health(host, names[1]) == "alive", "the other one is heard again")
        event = told(host, f"no heartbeat of {names[0]}")
        assert event["at"] - began >= 3.0  # it had its whole deadline again
        assert not [one for one in events(host, "heartbeat") if names[1] in one["because"]]
    finally:
        process.kill()
        process.wait(5)
        print(log.read_text())
