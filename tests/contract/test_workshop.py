"""The workshop on a real engine: untrusted work is bounded, found again by its name, and gone when it is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.repository import Repository
from tests.engine import Engine
from tidegate.adapters.platform.docker.client import Engine as Client
from tidegate.adapters.source.git import Git
from tidegate.adapters.workshop.containers import Containers
from tidegate.model.delivery import DeliveryKey
from tidegate.model.errors import ImageError
from tidegate.model.release import AgentKey
from tidegate.model.stages import Bounds, StageName
from tidegate.model.work import Checkout, Place, RunContainer

pytestmark = [pytest.mark.engine]
BOUNDS = Bounds(timeout_s=60.0, cpus=1.0, memory_bytes=64 << 20, pids=64)


@pytest.fixture
async def containers(engine: Engine, tmp_path: Path) -> AsyncIterator[Containers]:
    client = Client(engine.url)
    made = Containers(client, Git(cache=tmp_path / "git"))
    yield made
    await made.clean(place().delivery)
    await client.close()


def place(**more: object) -> Place:
    return replace(Place(DeliveryKey(AgentKey("agent", "prod"), 1), StageName.UNIT), **more)  # type: ignore[arg-type]


def job(engine: Engine, *script: str, **more: object) -> RunContainer:
    base = engine.load("tidegate/base-busybox")
    made = RunContainer("test", base, ("sh", "-c", "\n".join(script)), bounds=BOUNDS)
    return replace(made, **more)  # type: ignore[arg-type]


async def test_a_checkout_goes_in_and_files_come_out(engine: Engine, containers: Containers, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "agent", "scratch")
    repository.write("deep/er/file", "content")
    checkout = Checkout(str(repository.folder), repository.commit("1.0.0"))
    repository.write("deep/er/file", "uncommitted")
    told: list[str] = []
    wanted = job(
        engine,
        "pwd; cat deep/er/file; echo; ls -a",
        "mkdir out; echo result > out/report",
        checkout=checkout,
        outputs=("/src/out/report", "/src/out/none", "/src/deep"),
    )
    result = await containers.run(wanted, place(), told.append)
    assert result.exit_code == 0, result
    assert told[:2] == ["/src", "content"]
    assert ".git" not in told
    assert dict(result.outputs) == {"/src/out/report": b"result\n", "/src/deep/er/file": b"content"}


async def test_it_has_no_network_no_host_and_nothing_of_the_controller(
    engine: Engine, containers: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROLLERS_SECRET", "not-for-you")
    script = ("env", "ls /sys/class/net", "ls /var/run/docker.sock", "grep -i cap /proc/self/status")
    result = await containers.run(job(engine, *script, environment={"GIVEN": "1"}), place(), lambda line: None)
    log = "\n".join(result.log)
    assert "GIVEN=1" in log
    assert "not-for-you" not in log
    assert "eth0" not in log
    assert "docker.sock: No such file" in log
    assert "CapBnd:\t00000000000000eb" in log, "six capabilities, none over the host's"


async def test_limits_of_time_and_memory_hold(engine: Engine, containers: Containers) -> None:
    slow = job(engine, "echo begun; sleep 600", bounds=replace(BOUNDS, timeout_s=3.0))
    result = await containers.run(slow, place(), lambda line: None)
    assert result.timed_out
    assert result.exit_code is None
    assert result.log == ("begun",)
    greedy = job(engine, "tail /dev/zero", name="greedy")
    result = await containers.run(greedy, place(), lambda line: None)
    assert result.exit_code == 137
    assert result.oom_killed


async def test_work_is_found_again_after_a_crash_and_not_begun_twice(engine: Engine, containers: Containers) -> None:
    wanted = job(engine, "date +%s%N; sleep 2; echo end; exit 3")
    first = asyncio.create_task(containers.run(wanted, place(), lambda line: None))
    while not engine.docker("ps", "-q", "--filter", f"name={place().name('test')}").strip():
        await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    result = await containers.run(wanted, place(resumed=True), lambda line: None)
    assert result.exit_code == 3
    again = await containers.run(wanted, place(resumed=True), lambda line: None)
    assert again.log == result.log, "read again, not run again"


async def test_what_is_gone_is_unknown_unless_it_may_be_repeated(engine: Engine, containers: Containers) -> None:
    once = job(engine, "echo hello", repeatable=False)
    assert (await containers.run(once, place(resumed=True), lambda line: None)).unknown
    again = replace(once, repeatable=True)
    assert (await containers.run(again, place(resumed=True), lambda line: None)).exit_code == 0


async def test_nothing_is_left_of_a_delivery(engine: Engine, containers: Containers) -> None:
    other = replace(place(), delivery=DeliveryKey(AgentKey("agent", "prod"), 11))
    await containers.run(job(engine, "true"), place(), lambda line: None)
    await containers.run(job(engine, "true"), other, lambda line: None)
    await containers.clean(place().delivery)
    names = engine.docker("ps", "-a", "--format", "{{.Names}}").split()
    assert place().name("test") not in names
    assert other.name("test") in names
    await containers.clean(other.delivery)


async def test_an_absent_image_is_said_to_be(engine: Engine, containers: Containers) -> None:
    with pytest.raises(ImageError, match="nowhere:1 is not on this host"):
        await containers.run(job(engine, "true", image="nowhere:1"), place(), lambda line: None)
