"""Waves over five real engines in network namespaces: hosts cut off, full and killed in mid-wave; two controllers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.fleet import LIMITS, Fleet, Hosts, engines, fleet, in_stage, of_revision, waves
from tests.engine import Engine, unavailable
from tidegate.model import intent as intents
from tidegate.model.fleet import HostStage
from tidegate.model.rollout import Phase

pytestmark = pytest.mark.engine
TOLERANT = replace(LIMITS, failed_share=60.0)


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    reason = unavailable()
    if reason and os.environ.get("TIDEGATE_REQUIRE_ENGINE"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with engines(tmp_path_factory.mktemp("fleet"), 5, small="e3") as hosts:
        yield hosts


@pytest.fixture(autouse=True)
def empty(five: Hosts) -> Iterator[None]:
    yield
    for engine in five.engines.values():
        engine.reset()


async def first(one: Fleet) -> None:
    """Revision 1 on every host."""
    await one.deploy("1.0.0")
    await one.until(of_revision(1))
    await one.settles("1.0.0")


async def test_waves_with_images_by_save_and_load_and_probes_from_the_hosts(five: Hosts, tmp_path: Path) -> None:
    async with fleet(five, tmp_path, waves("1", "2")) as one:
        await one.begin()
        await first(one)
        await one.deploy("2.0.0")
        state = await one.until(of_revision(2))
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED
        await one.settles("2.0.0")
        names = {c["Names"][0] for engine in five.engines.values() for c in engine.containers()}
        assert "/tidegate-prober" in names
        await one.ask(intents.Undo())
        await one.until(of_revision(3))
        await one.settles("1.0.0")


async def test_a_host_cut_off_in_mid_wave_stalls_nobody_and_catches_up(five: Hosts, tmp_path: Path) -> None:
    async with fleet(five, tmp_path, waves("1")) as one:
        await one.begin()
        await first(one)
        await one.deploy("2.0.0", SLOW="1")
        await one.until(in_stage("e4", HostStage.ROLLING, 2))
        five.engines["e4"].link_down()
        try:
            state = await one.until(of_revision(2))
            assert state.rollout is not None
            assert state.rollout.phase is Phase.PROMOTED
            assert state.rollout.hosts["e4"].stage is HostStage.UNREACHABLE
            await one.deploy("3.0.0")
            await one.until(of_revision(3))
        finally:
            five.engines["e4"].link_up()
        await one.until(in_stage("e4", HostStage.DONE, 3))
        await one.settles("3.0.0")


async def test_a_full_disk_fails_one_host_and_a_killed_daemon_is_only_away(five: Hosts, tmp_path: Path) -> None:
    async with fleet(five, tmp_path, waves("1", limits=TOLERANT)) as one:
        await one.begin()
        await first(one)
        five.engines["e2"].kill()
        with full_disk(five.engines["e3"]):
            await one.deploy("2.0.0")
            state = await one.until(of_revision(2))
            assert state.rollout is not None
            assert state.rollout.phase is Phase.PROMOTED
            stages = {name: host.stage for name, host in state.rollout.hosts.items()}
            assert stages["e2"] is HostStage.UNREACHABLE
            assert stages["e3"] is HostStage.FAILED
            assert "space" in state.rollout.hosts["e3"].because
        five.engines["e2"].start()
        await one.until(in_stage("e2", HostStage.DONE))
        await one.settles("2.0.0", but={"e3": "1.0.0"})


async def test_a_failing_wave_takes_back_the_waves_that_were_done(five: Hosts, tmp_path: Path) -> None:
    async with fleet(five, tmp_path, waves("2")) as one:
        await one.begin()
        await first(one)
        taken = five.engines["e5"].run(one.image.reference, "sleep", "600", name="fleet.edge.r2.1")
        assert taken
        await one.deploy("2.0.0")
        state = await one.until(of_revision(2))
        assert state.rollout is not None
        assert state.rollout.phase is Phase.ROLLED_BACK
        await one.settles("1.0.0")


async def test_two_controllers_and_one_of_them_killed(five: Hosts, tmp_path: Path) -> None:
    async with fleet(five, tmp_path, waves("1", "2")) as one:
        killed, successor = await one.begin("first"), await one.begin("second")
        await first(one)
        await one.deploy("2.0.0")
        await one.until(in_stage("e2", HostStage.ROLLING, 2))
        holder, other = (killed, successor) if killed.deciding.is_set() else (successor, killed)
        await holder.kill()
        state = await one.until(of_revision(2))
        assert other.deciding.is_set()
        assert state.rollout is not None
        assert state.rollout.phase is Phase.PROMOTED
        await one.settles("2.0.0")


@contextmanager
def full_disk(engine: Engine) -> Iterator[None]:
    """Take all the space that is left on the engine's disk."""
    filler = engine.directory / "data" / "filler"
    try:
        with suppress(OSError), filler.open("wb", buffering=0) as out:
            while True:
                out.write(b"\0" * 65536)
        yield
    finally:
        filler.unlink(missing_ok=True)
