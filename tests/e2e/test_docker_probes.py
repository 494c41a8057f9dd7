"""Readiness and liveness on a real engine: each kind of probe, the image's own check, and a controller that is new."""

from __future__ import annotations

import pytest

from tests.docker_support import desired, docker_platform, drive, goals, only, revision, settle
from tests.engine import Engine
from tidegate.adapters.platform.docker.platform import DockerPlatform
from tidegate.model.desired import Desired
from tidegate.model.observation import Observation, ObservedInstance
from tidegate.model.workload import HealthCheck, Probe, ProbeKind, Workload

pytestmark = pytest.mark.engine

NAME = "shop.prod.r1.0"
IDLE = ("sh", "-c", "echo begun; trap 'exit 0' TERM; mkdir -p /www; while :; do sleep 0.1; done")
"""Does nothing until the test switches something on inside."""

QUICK = {"period_s": 0.1, "timeout_s": 1.0, "failure_threshold": 2}
HTTP = Probe(ProbeKind.HTTP, port=8080, path="/ready", **QUICK)  # type: ignore[arg-type]
TCP = Probe(ProbeKind.TCP, port=8081, **QUICK)  # type: ignore[arg-type]
EXEC = Probe(ProbeKind.EXEC, command=("test", "-e", "/www/ready"), **QUICK)  # type: ignore[arg-type]

SWITCH = {
    HTTP: ("touch /www/ready; httpd -p 8080 -h /www", "rm /www/ready"),
    TCP: ("httpd -p 8081 -h /www", "killall httpd"),
    EXEC: ("touch /www/ready", "rm /www/ready"),
}
FAILURE = {
    HTTP: "GET /ready on port 8080 answered 404",
    TCP: "connecting to port 8081: connection refused",
    EXEC: "exec test -e /www/ready exited with 1",
}


def inside(engine: Engine, script: str) -> None:
    engine.docker("exec", NAME, "sh", "-c", script)


async def until(platform: DockerPlatform, wanted: Desired, ready: bool | None) -> ObservedInstance:
    def reached(observed: Observation) -> bool:
        return bool(observed.instances) and bool(only(observed).started_at) and only(observed).ready is ready

    return only(await drive(platform, wanted, reached))


@pytest.mark.parametrize("probe", [HTTP, TCP, EXEC], ids=lambda probe: str(probe.kind))
async def test_readiness_follows_the_agent_both_ways(engine: Engine, probe: Probe) -> None:
    wanted = desired(*goals(revision(workload=Workload(command=IDLE, readiness=probe, stop_grace_s=1))))
    async with docker_platform(engine) as platform:
        first = await until(platform, wanted, False)
        assert first.probe_detail
        assert first.last_log == ("begun",)
        inside(engine, SWITCH[probe][0])
        assert (await until(platform, wanted, True)).probe_detail == ""
        inside(engine, SWITCH[probe][1])
        fallen = await until(platform, wanted, False)
        assert fallen.probe_detail.startswith(FAILURE[probe])
        assert "in a row" in fallen.probe_detail
        assert fallen.started_at == first.started_at


@pytest.mark.parametrize("probe", [HTTP, TCP, EXEC], ids=lambda probe: str(probe.kind))
async def test_an_instance_that_is_not_alive_is_restarted_by_us_and_then_unknown_again(
    engine: Engine, probe: Probe
) -> None:
    workload = Workload(command=IDLE, liveness=probe, stop_grace_s=1)
    wanted = desired(*goals(revision(workload=workload)))
    async with docker_platform(engine) as platform:
        sick = only(await drive(platform, wanted, lambda o: bool(o.instances) and only(o).live is False))
        assert sick.ready is True, "liveness is not readiness"
        assert "(2 in a row)" in sick.probe_detail
        assert sick.restart_count == 0, "Docker itself does not restart what is merely unhealthy"
        again = desired(*goals(revision(workload=workload), restart_of=sick.started_at))
        after = only(await drive(platform, again, lambda o: only(o).started_at != sick.started_at))
        assert after.live is None
        inside(engine, SWITCH[probe][0])
        healthy = only(await drive(platform, again, lambda o: only(o).live is True))
        assert healthy.started_at == after.started_at


async def test_the_images_health_check_counts_where_no_probe_is_written(engine: Engine) -> None:
    check = HealthCheck(("CMD", "test", "-e", "/www/ready"), interval_s=0.2, timeout_s=1, retries=2)
    wanted = desired(*goals(revision(workload=Workload(command=IDLE, healthcheck=check, stop_grace_s=1))))
    async with docker_platform(engine) as platform:
        sick = only(await drive(platform, wanted, lambda o: bool(o.instances) and only(o).live is False))
        assert sick.ready is False
        assert sick.probe_detail.startswith("HEALTHCHECK exited with 1 (")
        inside(engine, "touch /www/ready")
        well = only(await drive(platform, wanted, lambda o: only(o).ready is True))
        assert well.live is True


async def test_a_new_controller_knows_nothing_and_asks_at_once(engine: Engine) -> None:
    slow = Probe(ProbeKind.EXEC, command=("true",), initial_delay_s=3600, period_s=0.1)
    workload = Workload(command=IDLE, readiness=slow, stop_grace_s=1)
    wanted = desired(*goals(revision(workload=workload)))
    async with docker_platform(engine) as platform:
        fresh = only(await drive(platform, wanted, lambda o: bool(o.instances) and bool(only(o).started_at)))
        assert fresh.ready is None, "the initial delay holds for what has just been started"
    async with docker_platform(engine) as platform:
        assert only(await platform.observe(desired())).ready is None, "no spec known yet"
        assert only(await platform.observe(wanted)).ready is None
        known = await until(platform, wanted, True)
        assert known.started_at == fresh.started_at


async def test_a_command_that_hangs_is_not_started_again_beside_itself(engine: Engine) -> None:
    hang = Probe(ProbeKind.EXEC, command=("sleep", "777"), period_s=0.1, timeout_s=0.2, failure_threshold=1)
    wanted = desired(*goals(revision(workload=Workload(command=IDLE, readiness=hang, stop_grace_s=1))))
    async with docker_platform(engine) as platform:
        await drive(platform, wanted, lambda o: bool(o.instances) and "earlier probe" in only(o).probe_detail)
        processes = engine.api("GET", f"/containers/{NAME}/top")["Processes"]
        assert sum("sleep 777" in " ".join(row) for row in processes) == 1


async def test_without_a_probe_running_is_ready_and_scaling_takes_seconds(engine: Engine) -> None:
    async with docker_platform(engine) as platform:
        await settle(platform, desired(*goals(revision(), 1)))
        five = await settle(platform, desired(*goals(revision(), 5)), deadline_s=10)
        assert [instance.ready for instance in five.instances] == [True] * 5
