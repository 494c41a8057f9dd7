"""ports.Platform: what every platform must do, asked of each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from tests.docker_support import BUSYBOX, KEY, desired, docker_platform, drive, goals, only, revision, settle, tick
from tests.engine import Engine
from tidegate.adapters.platform.memory.platform import MemoryPlatform
from tidegate.adapters.platform.memory.world import World
from tidegate.model.desired import Desired, InstanceGoal, Run
from tidegate.model.errors import NotFoundError, TidegateError
from tidegate.model.observation import ImageState, InstanceState
from tidegate.model.operation import CreateInstance, RemoveInstance, RestartInstance, StartInstance, StopInstance
from tidegate.model.release import AgentKey, Image
from tidegate.ports import Platform

R1, R2 = revision(1), revision(2)
FIRST = "shop.prod.r1.0"


@dataclass
class Place:
    """A platform with what the test may do to it from outside."""

    platform: Platform
    switch_off: Callable[[], None]
    switch_on: Callable[[], None]


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.engine)])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "memory":
        world = World()
        platform = MemoryPlatform(world)
        yield Place(platform, lambda: setattr(world, "reachable", False), lambda: setattr(world, "reachable", True))
        return
    engine: Engine = request.getfixturevalue("engine")
    async with docker_platform(engine) as docker:
        yield Place(docker, engine.kill, engine.start)


def wanted(*instances: InstanceGoal) -> Desired:
    """The memory platform knows images by name only, so they are asked for by name."""
    return desired(*instances, images=(Image(BUSYBOX),))


async def test_nothing_wanted_and_nothing_there_is_nothing_to_do(place: Place) -> None:
    observed = await place.platform.observe(desired())
    assert (observed.reachable, observed.instances) == (True, ())
    assert place.platform.plan(desired(), observed) == ()


async def test_from_nothing_to_ready_instances_and_then_silence(place: Place) -> None:
    observed = await settle(place.platform, wanted(*goals(R1, 2)))
    assert [instance.name for instance in observed.instances] == [FIRST, "shop.prod.r1.1"]
    assert all(i.state is InstanceState.RUNNING and i.revision == 1 and i.started_at for i in observed.instances)
    assert len({instance.address for instance in observed.instances} - {""}) == 2
    assert [image.state for image in observed.images] == [ImageState.PRESENT]


async def test_scaling_down_keeps_the_others_running(place: Place) -> None:
    before = await settle(place.platform, wanted(*goals(R1, 2)))
    after = await settle(place.platform, wanted(*goals(R1, 1)))
    assert only(after).started_at == before.instances[0].started_at


async def test_a_revision_is_replaced_by_another(place: Place) -> None:
    await settle(place.platform, wanted(*goals(R1)))
    both = await settle(place.platform, wanted(*goals(R1), *goals(R2)))
    assert [instance.revision for instance in both.instances] == [1, 2]
    assert only(await settle(place.platform, wanted(*goals(R2)))).revision == 2


async def test_what_is_stopped_is_kept_and_started_again(place: Place) -> None:
    await settle(place.platform, wanted(*goals(R1)))
    stopped = await settle(place.platform, wanted(*goals(R1, run=Run.STOPPED)))
    assert only(stopped).state is InstanceState.EXITED
    assert only(await settle(place.platform, wanted(*goals(R1)))).state is InstanceState.RUNNING


async def test_a_restart_happens_once_for_one_incarnation(place: Place) -> None:
    first = only(await settle(place.platform, wanted(*goals(R1)))).started_at
    again = wanted(*goals(R1, restart_of=first))
    second = only(await drive(place.platform, again, lambda seen: only(seen).started_at != first)).started_at
    for _ in range(3):
        observed = await tick(place.platform, again)
    assert only(observed).started_at == second


async def test_every_operation_done_twice_is_harmless(place: Place) -> None:
    platform, (goal,) = place.platform, goals(R1)
    await settle(platform, wanted())
    create = CreateInstance(KEY, goal, "test")
    for operation in (create, create, StartInstance(FIRST, "test"), StartInstance(FIRST, "test")):
        await platform.execute(operation)
    observed = await platform.observe(wanted(goal))
    assert only(observed).state is InstanceState.RUNNING
    await platform.execute(create)
    assert only(await platform.observe(wanted(goal))).started_at == only(observed).started_at
    for operation in (StopInstance(FIRST, 0.0, "test"), StopInstance(FIRST, 0.0, "test")):
        await platform.execute(operation)
    for operation in (RemoveInstance(FIRST, "test"), RemoveInstance(FIRST, "test"), StopInstance(FIRST, 0.0, "test")):
        await platform.execute(operation)
    assert (await platform.observe(wanted())).instances == ()


async def test_agents_and_environments_do_not_see_each_other(place: Place) -> None:
    await settle(place.platform, wanted(*goals(R1)))
    for other in (AgentKey("shop", "test"), AgentKey("sho", "prod"), AgentKey("shop", "prod2")):
        observed = await place.platform.observe(Desired(other))
        assert observed.instances == ()
        assert place.platform.plan(Desired(other), observed) == ()


async def test_logs_of_nobody_are_not_found(place: Place) -> None:
    with pytest.raises(NotFoundError):
        await place.platform.logs("shop.prod.r9.9", 10)


async def test_waiting_for_a_change_ends(place: Place) -> None:
    async with asyncio.timeout(5):
        assert await place.platform.changed(KEY, 0.05) in (True, False)


async def test_an_absent_engine_is_observed_and_nothing_planned(place: Place) -> None:
    await settle(place.platform, wanted(*goals(R1)))
    place.switch_off()
    observed = await place.platform.observe(wanted(*goals(R1)))
    assert (observed.reachable, observed.instances) == (False, ())
    assert observed.detail
    assert place.platform.plan(wanted(*goals(R2)), observed) == ()
    with pytest.raises(TidegateError):
        await place.platform.execute(RestartInstance(FIRST, 0.0, "test"))
    place.switch_on()
    assert only(await settle(place.platform, wanted(*goals(R1)))).revision == 1
