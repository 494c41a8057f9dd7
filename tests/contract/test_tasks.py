"""ports.Tasks: what every runner of tasks must do, asked of each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from tests.docker_support import BUSYBOX, KEY, Secrets, revision
from tests.engine import Engine as PrivateEngine
from tidegate.adapters.notify.calls import WebTasks
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.tasks import DockerTasks
from tidegate.adapters.platform.memory.tasks import MemoryTasks
from tidegate.adapters.platform.memory.world import Deed, World
from tidegate.adapters.tasks import AllTasks
from tidegate.model.desired import Call, Desired, Run, TaskGoal, task_name
from tidegate.model.observation import ImageState, Observation, ObservedImage, ObservedTask, TaskState
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask
from tidegate.model.release import AgentKey
from tidegate.model.workload import Workload
from tidegate.ports import Tasks

HERE = (ObservedImage(BUSYBOX, ImageState.PRESENT),)


@dataclass
class Place:
    """A runner with goals that it can run: each name says how the task turns out."""

    tasks: Tasks
    goal: Callable[[str], TaskGoal]
    runs: Callable[[], int]
    pass_time: Callable[[], None] = lambda: None


def container(name: str) -> TaskGoal:
    script = {"good": "echo fine", "bad": "echo broken; exit 7", "long": "trap 'exit 1' TERM; sleep 60 & wait"}[name]
    workload = Workload(entrypoint=("sh", "-c"), command=(script,), restart="no")
    return TaskGoal(name, revision(1), workload)


@pytest.fixture(params=["memory", "web", pytest.param("docker", marks=pytest.mark.engine)])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    if request.param == "memory":
        world = World(deeds={"bad": Deed(exit_code=7, log=("broken",)), "long": Deed(seconds=1e9)})
        yield Place(MemoryTasks(world), container, lambda: len(world.runs), lambda: world.advance(1.0))
    elif request.param == "web":
        async with served() as (goal, runs):
            tasks = AllTasks(MemoryTasks(World()), WebTasks())
            yield Place(tasks, goal, runs)
            await tasks.close()
    else:
        engine: PrivateEngine = request.getfixturevalue("engine")
        engine.load("tidegate/base-busybox")
        client = Engine(engine.url)
        tasks = AllTasks(DockerTasks(client, Secrets(), DockerOptions(subnet=engine.subnet(0))))
        yield Place(tasks, container, lambda: _starts(engine))
        await tasks.close()
        await client.close()


def _starts(engine: PrivateEngine) -> int:
    ids = engine.docker("ps", "-aq", "--filter", "label=dev.tidegate.kind=task").split()
    started = engine.docker("inspect", "--format", "{{.State.StartedAt}}", *ids).split() if ids else []
    return sum(not at.startswith("0001") for at in started)


class served:
    """A server whose paths say how a web hook turns out."""

    def __init__(self) -> None:
        self.calls = 0

    async def __aenter__(self) -> tuple[Callable[[str], TaskGoal], Callable[[], int]]:
        async def answer(request: web.Request) -> web.Response:
            self.calls += 1
            body = await request.json()
            assert body["hook"] == request.path.strip("/")
            if body["hook"] == "long":
                await asyncio.sleep(60)
            return web.Response(status=204 if body["hook"] == "good" else 500)

        application = web.Application()
        application.router.add_post("/{name}", answer)
        self.runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        port = self.runner.addresses[0][1]

        def goal(name: str) -> TaskGoal:
            call = Call(f"http://user:hidden@127.0.0.1:{port}/{name}?token=hidden")
            return TaskGoal(name, revision(1), Workload(), call=call)

        return goal, lambda: self.calls

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


def wanted(*goals: TaskGoal) -> Desired:
    return Desired(KEY, tasks=goals)


async def tick(place: Place, desired: Desired) -> tuple[ObservedTask, ...]:
    """Observe, plan, execute."""
    seen = await place.tasks.observe(KEY)
    for operation in place.tasks.plan(desired, Observation(0.0, images=HERE, tasks=seen)):
        await place.tasks.execute(operation)
    return seen


async def drive(place: Place, desired: Desired, until: Callable[[tuple[ObservedTask, ...]], bool]) -> ObservedTask:
    async with asyncio.timeout(20):
        while not until(seen := await tick(place, desired)):
            place.pass_time()
            await asyncio.sleep(0.02)
    return seen[0] if seen else ObservedTask("", "", 0, TaskState.UNKNOWN)


def in_state(*states: TaskState) -> Callable[[tuple[ObservedTask, ...]], bool]:
    return lambda seen: bool(seen) and seen[0].state in states


async def ready(place: Place, name: str) -> TaskGoal:
    goal = place.goal(name)
    await drive(place, wanted(goal), in_state(TaskState.READY))
    return goal


async def test_made_ready_is_not_started(place: Place) -> None:
    await ready(place, "good")
    assert place.runs() == 0


@pytest.mark.parametrize(("name", "end"), [("good", TaskState.SUCCEEDED), ("bad", TaskState.FAILED)])
async def test_a_task_runs_once_and_stays_until_its_result_is_stored(place: Place, name: str, end: TaskState) -> None:
    goal = replace(await ready(place, name), run=Run.RUNNING)
    seen = await drive(place, wanted(goal), in_state(TaskState.SUCCEEDED, TaskState.FAILED))
    assert (seen.name, seen.attempt, seen.release, seen.state) == (name, 1, "rel-1", end)
    assert end is TaskState.SUCCEEDED or seen.last_log
    assert "hidden" not in str(seen)
    for _ in range(3):
        await tick(place, wanted(goal))
    assert place.runs() == 1
    await drive(place, wanted(), lambda seen: not seen)


async def test_what_was_started_and_is_gone_is_not_made_again(place: Place) -> None:
    goal = replace(await ready(place, "good"), run=Run.RUNNING)
    await place.tasks.execute(RemoveTask(task_name(KEY, goal), "test"))
    for _ in range(3):
        assert await tick(place, wanted(goal)) == ()
    assert place.runs() == 0


async def test_a_task_whose_time_is_up_is_stopped(place: Place) -> None:
    goal = await ready(place, "long")
    await drive(place, wanted(replace(goal, run=Run.RUNNING)), in_state(TaskState.RUNNING))
    seen = await drive(place, wanted(goal), in_state(TaskState.FAILED))
    assert seen.state is TaskState.FAILED
    assert place.runs() == 1


async def test_another_attempt_is_another_task(place: Place) -> None:
    first = replace(await ready(place, "bad"), run=Run.RUNNING)
    await drive(place, wanted(first), in_state(TaskState.FAILED))
    second = replace(first, attempt=2, run=Run.STOPPED)
    seen = await drive(place, wanted(second), in_state(TaskState.READY))
    assert seen.attempt == 2


async def test_every_operation_done_twice_is_harmless(place: Place) -> None:
    goal, name = place.goal("good"), task_name(KEY, place.goal("good"))
    for operation in (PrepareTask(KEY, goal, ""), PrepareTask(KEY, goal, ""), StartTask(KEY, goal, "")):
        await place.tasks.execute(operation)
    await drive(place, wanted(replace(goal, run=Run.RUNNING)), in_state(TaskState.SUCCEEDED))
    await place.tasks.execute(StartTask(KEY, goal, ""))
    assert place.runs() == 1
    for operation in (StopTask(name, ""), RemoveTask(name, ""), RemoveTask(name, ""), StopTask(name, "")):
        await place.tasks.execute(operation)
    assert await place.tasks.observe(KEY) == ()


async def test_other_agents_tasks_are_not_seen(place: Place) -> None:
    await ready(place, "good")
    assert await place.tasks.observe(AgentKey("shop", "test")) == ()
    await drive(place, wanted(), lambda seen: not seen)
