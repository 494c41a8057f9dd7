"""Limits of an instance hold against a neighbour that wants everything: read from the cgroup, and seen to bite."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.docker_support import desired, docker_platform, drive, goals, only, revision, settle
from tests.engine import Engine
from tidegate.model.workload import Resources, Workload

pytestmark = pytest.mark.engine

NAME = "shop.prod.r1.0"
V2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
BURN = ("sh", "-c", "while :; do :; done & while :; do :; done")


def control(engine: Engine, controller: str, file: str) -> str:
    """A file of the container's cgroup, in either version."""
    container = engine.inspect(NAME)["Id"]
    hierarchy = "/sys/fs/cgroup" if V2 else f"/sys/fs/cgroup/{controller}"
    return Path(f"{hierarchy}/{engine.slot.namespace}/{container}/{file}").read_text().strip()


def cpu_seconds(engine: Engine) -> float:
    """CPU time that the container used so far."""
    if V2:
        return int(control(engine, "cpu", "cpu.stat").split()[1]) / 1e6
    return int(control(engine, "cpuacct", "cpuacct.usage")) / 1e9


async def test_cpu_of_a_noisy_neighbour_stays_at_its_limit(engine: Engine) -> None:
    noisy = Workload(command=BURN, resources=Resources(cpus=0.2), stop_grace_s=0.0)
    async with docker_platform(engine) as platform:
        await settle(platform, desired(*goals(revision(workload=noisy))))
        quota, period = (
            control(engine, "cpu", "cpu.max").split()
            if V2
            else (control(engine, "cpu", "cpu.cfs_quota_us"), control(engine, "cpu", "cpu.cfs_period_us"))
        )
        assert int(quota) / int(period) == pytest.approx(0.2)
        begin, used = time.monotonic(), cpu_seconds(engine)
        # Two busy loops would use two cores; 2 s of wall time are 20 periods.
        while time.monotonic() - begin < 2:
            time.sleep(0.05)
        share = (cpu_seconds(engine) - used) / (time.monotonic() - begin)
    assert 0.01 < share < 0.3


async def test_memory_is_capped_swap_included_and_only_the_hog_dies(engine: Engine) -> None:
    limit = 24 << 20
    hog = Workload(
        command=("sh", "-c", "x=a; while :; do x=$x$x; done"),
        resources=Resources(memory_bytes=limit),
        restart="no",
        stop_grace_s=0.0,
    )
    neighbour = goals(revision(2))
    async with docker_platform(engine) as platform:
        calm = only(await settle(platform, desired(*neighbour)))
        wanted = desired(*neighbour, *goals(revision(workload=hog)))
        seen = await drive(platform, wanted, lambda o: any(i.oom_killed for i in o.instances))
        killed, alive = seen.instances
        assert killed.name == NAME
        assert (alive.id, alive.started_at, alive.oom_killed) == (calm.id, calm.started_at, False)
    host = engine.inspect(NAME)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (limit, limit)


async def test_the_memory_limit_is_in_the_cgroup(engine: Engine) -> None:
    workload = Workload(command=("sleep", "600"), resources=Resources(memory_bytes=24 << 20), stop_grace_s=0.0)
    async with docker_platform(engine) as platform:
        await settle(platform, desired(*goals(revision(workload=workload))))
        assert int(control(engine, "memory", "memory.max" if V2 else "memory.limit_in_bytes")) == 24 << 20


async def test_a_fork_bomb_stays_within_its_processes(engine: Engine) -> None:
    bomb = ("sh", "-c", "for i in $(seq 200); do sleep 600 & done; wait")
    workload = Workload(command=bomb, resources=Resources(pids=20), restart="no", stop_grace_s=0.0)
    async with docker_platform(engine) as platform:
        await drive(platform, desired(*goals(revision(workload=workload))), lambda o: bool(o.instances))
        assert engine.inspect(NAME)["HostConfig"]["PidsLimit"] == 20
        seen = await drive(
            platform,
            desired(*goals(revision(workload=workload))),
            lambda o: any("fork" in line for line in only(o).last_log),
        )
    # busybox gives up with "can't fork" when the twenty-first process is refused.
    assert only(seen).exit_code not in (None, 0)
