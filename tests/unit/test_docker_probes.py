"""Thresholds of probes, and what they and the engine's own health check make of an instance."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.adapters.platform.docker.facts import health, observed_instance
from tidegate.adapters.platform.docker.probes import Watch
from tidegate.adapters.platform.docker.streak import Streak
from tidegate.model.observation import InstanceState
from tidegate.model.workload import Probe, ProbeKind


def values(streak: Streak, answers: str) -> list[bool | None]:
    """The value after each answer; + is a success."""
    found = []
    for answer in answers:
        streak.add(answer == "+", "" if answer == "+" else "refused")
        found.append(streak.value)
    return found


def probe(failure: int = 3, success: int = 1) -> Probe:
    return Probe(ProbeKind.TCP, failure_threshold=failure, success_threshold=success)


@pytest.mark.parametrize(
    ("streak", "answers", "expected"),
    [
        (Streak(probe(), fresh=True), "-+", [False, True]),
        (Streak(probe(), fresh=True), "+--+---", [True, True, True, True, True, True, False]),
        (Streak(probe(success=2), fresh=True), "++--", [None, True, True, True]),
        (Streak(probe(success=2), fresh=True), "-+-++", [False, False, False, False, True]),
        (Streak(probe(), fresh=False), "--+", [None, None, True]),
        (Streak(probe(), fresh=False), "---", [None, None, False]),
        (Streak(probe(failure=1), fresh=False), "-", [False]),
        (Streak(probe(failure=2), fresh=False), "+--+", [True, True, False, True]),
    ],
)
def test_thresholds(streak: Streak, answers: str, expected: list[bool | None]) -> None:
    assert values(streak, answers) == expected


def test_add_tells_whether_the_value_turned() -> None:
    streak = Streak(probe(failure=2), fresh=True)
    assert [streak.add(True, ""), streak.add(True, ""), streak.add(False, "x"), streak.add(False, "x")] == [
        True,
        False,
        False,
        True,
    ]
    assert streak.detail == "x (2 in a row)"


def facts(status: str = "running", check: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    return {
        "Id": "abc",
        "Name": "/shop.prod.r4.0",
        "Image": "sha256:1",
        "RestartCount": 2,
        "Config": {"Labels": {"dev.tidegate.revision": "4"}, "StopTimeout": 3},
        "HostConfig": {"NetworkMode": "tidegate"},
        "NetworkSettings": {"Networks": {"tidegate": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "10.9.0.4"}}}},
        "State": {"Status": status, "StartedAt": "t1", "ExitCode": 0, **({"Health": check} if check else {}), **state},
    }


def watch(readiness: bool | None = None, liveness: bool | None = None, probed: bool = True) -> Watch:
    streaks = (Streak(probe(), True, readiness, detail="r"), Streak(probe(), False, liveness, detail="l"))
    return Watch(*streaks) if probed else Watch(None, None)


def test_without_any_probe_running_is_ready() -> None:
    found = health(facts(), watch(probed=False))
    assert (found.ready, found.live) == (True, None)


def test_a_container_without_a_known_spec_is_not_called_ready() -> None:
    assert health(facts(), None).ready is None


@pytest.mark.parametrize("status", ["created", "exited", "restarting", "dead", "paused"])
def test_what_does_not_run_is_not_ready(status: str) -> None:
    assert health(facts(status), watch(True, True)).ready is False


@pytest.mark.parametrize(
    ("check", "ready", "live"),
    [
        ({"Status": "starting", "Log": []}, None, None),
        ({"Status": "starting", "Log": [{"ExitCode": 1, "Output": ""}]}, False, None),
        ({"Status": "healthy", "Log": []}, True, True),
        ({"Status": "unhealthy", "FailingStreak": 3, "Log": [{"ExitCode": 1, "Output": "no\n"}]}, False, False),
        ({"Status": "none"}, True, None),
    ],
)
def test_the_engines_health_check_stands_in_for_probes(
    check: dict[str, Any], ready: bool | None, live: bool | None
) -> None:
    found = health(facts(check=check), watch(probed=False))
    assert (found.ready, found.live) == (ready, live)
    if live is False:
        assert found.detail == "HEALTHCHECK exited with 1: no (3 in a row)"


def test_a_probe_of_the_spec_goes_before_the_health_check() -> None:
    sick = {"Status": "unhealthy", "FailingStreak": 3, "Log": []}
    found = health(facts(check=sick), Watch(Streak(probe(), True, True), None))
    assert (found.ready, found.live) == (True, False)


def test_the_reason_is_the_worse_probes() -> None:
    assert health(facts(), watch(False, True)).detail == "r"
    assert health(facts(), watch(False, False)).detail == "l"


def test_facts_of_a_running_and_of_a_finished_container() -> None:
    running = observed_instance(facts(), "tidegate", None)
    assert (running.name, running.revision, running.address) == ("shop.prod.r4.0", 4, "10.9.0.4")
    assert (running.exit_code, running.restart_count, running.stop_grace_s) == (None, 2, 3.0)
    over = observed_instance(facts("exited", ExitCode=137, OOMKilled=True), "tidegate", None)
    assert (over.state, over.exit_code, over.oom_killed) == (InstanceState.EXITED, 137, True)
    refused = observed_instance(facts("created", ExitCode=127, Error="no such file"), "tidegate", None)
    assert (refused.exit_code, refused.probe_detail) == (127, "no such file")


def test_on_the_hosts_network_the_address_is_loopback() -> None:
    found = facts()
    found["HostConfig"]["NetworkMode"] = "host"
    assert observed_instance(found, "tidegate", None).address == "127.0.0.1"


def test_a_container_on_its_way_out_counts_as_dead() -> None:
    assert observed_instance(facts("removing"), "tidegate", None).state is InstanceState.DEAD
