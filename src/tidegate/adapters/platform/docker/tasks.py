"""Tasks on one engine: ports.Tasks with a container for each, known by its labels and kept until its result is stored.

Making a container ready and starting it are two calls. A container that was started once is never started again.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker import labels
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.images import find_image
from tidegate.adapters.platform.docker.logs import read_log
from tidegate.adapters.platform.docker.network import Network
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.secrecy import scrubbed
from tidegate.adapters.platform.docker.start import Starter
from tidegate.adapters.platform.docker.translate import Placement, own_network, task_body
from tidegate.adapters.registry.base_image import Base, ensure_base_image
from tidegate.model.desired import TOOLS, Desired, TaskGoal, task_name
from tidegate.model.diff import plan_tasks
from tidegate.model.errors import ConflictError, ImageError, NotFoundError, TidegateError
from tidegate.model.observation import Observation, ObservedTask, TaskState
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask, TaskOperation
from tidegate.model.release import AgentKey
from tidegate.ports import SecretSource

GRACE_S = 5
TOOLS_S = 400.0
TOOLS_LOOK_S = 2.0
LOG_LINES = 20
LOG_S = 3.0
LOGS_KEPT = 100


class DockerTasks:
    """Run-to-completion containers of one host."""

    def __init__(
        self,
        engine: Engine,
        secrets: SecretSource,
        options: DockerOptions | None = None,
        network: Network | None = None,
    ) -> None:
        self._engine = engine
        self._secrets = secrets
        self._options = options or DockerOptions()
        self._network = network or Network(engine, self._options)
        self._starter = Starter(engine, self._network, self._options)
        self._tools: asyncio.Task[str] | None = None
        self._logs: dict[str, tuple[str, ...]] = {}

    async def observe(self, key: AgentKey) -> tuple[ObservedTask, ...]:
        """Every task's container of the agent. Raises EngineError."""
        async with self._engine.call(f"observe tasks of {key}", self._options.observe_deadline_s) as docker:
            listed = await docker.containers.list(all=True, filters=json.dumps({"label": labels.task_filters(key)}))
            found = await asyncio.gather(*(_inspect(docker, container.id) for container in listed))
        return tuple([await self._observed(facts) for facts in found if facts is not None])

    async def _observed(self, facts: Mapping[str, Any]) -> ObservedTask:
        marks: Mapping[str, str] = facts["Config"]["Labels"]
        state, id = _state(facts["State"]), str(facts["Id"])
        over = state in (TaskState.SUCCEEDED, TaskState.FAILED)
        attempt = marks.get(labels.ATTEMPT, "")
        return ObservedTask(
            marks.get(labels.TASK, ""),
            marks.get(labels.RELEASE, ""),
            int(attempt) if attempt.isdecimal() else 0,
            state,
            str(facts["Name"]).lstrip("/"),
            id,
            int(facts["State"]["ExitCode"]) if over else None,
            await self._log(id) if over else (),
        )

    async def _log(self, id: str) -> tuple[str, ...]:
        if id not in self._logs:
            lines: tuple[str, ...] = ()
            with suppress(TidegateError):
                lines = await read_log(self._engine, id, LOG_LINES, LOG_S)
            self._logs = dict([*self._logs.items(), (id, lines)][-LOGS_KEPT:])
        return self._logs[id]

    def plan(self, desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
        """Pure."""
        return plan_tasks(desired, observed)

    async def execute(self, operation: TaskOperation) -> None:
        """Carry out one operation; twice is harmless. Raises EngineError, ConflictError, NotFoundError, ImageError."""
        match operation:
            case PrepareTask(key, goal, _):
                await self._prepare(key, goal)
            case StartTask(key, goal, _):
                await self._start(task_name(key, goal))
            case StopTask(name, _):
                with suppress(NotFoundError):
                    async with self._engine.call(f"stop task {name}", GRACE_S + self._engine.deadline_s) as docker:
                        await docker.containers.container(name).stop(t=GRACE_S)
            case RemoveTask(name, _):
                with suppress(NotFoundError):
                    async with self._engine.call(f"remove task {name}") as docker:
                        await docker.containers.container(name).delete(v=True)

    async def _prepare(self, key: AgentKey, goal: TaskGoal) -> None:
        image = await self._image(goal)
        if not image:
            return
        network = ""
        if own_network(goal.workload):
            await self._network.ensure()
            network = self._options.network
        secrets = await self._secrets.resolve(goal.workload)
        body = task_body(key, goal, Placement(image, network, secrets=secrets))
        name = task_name(key, goal)
        try:
            async with self._engine.call(f"make task {name} ready") as docker:
                await docker.containers.create(body, name=name)
        except ConflictError:
            await self._check_same(name, body["Labels"])
        except TidegateError as error:
            raise scrubbed(error, secrets.values()) from None

    async def _image(self, goal: TaskGoal) -> str:
        """The engine's id of the image; empty while the tools are still on their way."""
        if goal.runs == TOOLS:
            return await self._tools_image()
        async with self._engine.call(f"inspect image {goal.runs.reference}") as docker:
            facts = await find_image(docker, goal.runs)
        if facts is None:
            raise ImageError(f"image {goal.runs.reference} is not on this host", hint="pull it first")
        return str(facts["Id"])

    async def _tools_image(self) -> str:
        """The image with a shell and tar, made when it is first needed; nobody waits long for it."""
        if self._tools is None:
            self._tools = asyncio.create_task(self._make_tools(), name="tools image")
        made = self._tools
        await asyncio.wait({made}, timeout=TOOLS_LOOK_S)
        if not made.done():
            return ""
        if self._tools is made:
            self._tools = None
        return made.result()

    async def _make_tools(self) -> str:
        async with self._engine.call("the image for backups", TOOLS_S) as docker:
            made = await ensure_base_image(docker, Base.BUSYBOX)
        return made.image.config_digest

    async def _check_same(self, name: str, wanted: Mapping[str, str]) -> None:
        async with self._engine.call(f"inspect {name}") as docker:
            facts = await docker.containers.container(name).show()
        if any((facts["Config"].get("Labels") or {}).get(mark) != value for mark, value in wanted.items()):
            raise ConflictError(f"{name} exists already and was made for something else", hint=f"docker rm {name}")

    async def _start(self, name: str) -> None:
        """Start it, unless it ever ran: then there is nothing to do."""
        async with self._engine.call(f"inspect task {name}") as docker:
            facts = await docker.containers.container(name).show()
        if facts["State"]["Status"] == "created":
            await self._starter.start(name)

    async def close(self) -> None:
        """Containers run on."""
        if self._tools is not None:
            self._tools.cancel()
            await asyncio.gather(self._tools, return_exceptions=True)


def _state(state: Mapping[str, Any]) -> TaskState:
    match state["Status"]:
        case "created":
            return TaskState.READY
        case "running" | "paused" | "restarting":
            return TaskState.RUNNING
        case _:
            return TaskState.FAILED if state["ExitCode"] or state.get("OOMKilled") else TaskState.SUCCEEDED


async def _inspect(docker: Docker, id: str) -> Mapping[str, Any] | None:
    try:
        return await docker.containers.container(id).show()
    except DockerError as error:
        if error.status == 404:  # gone between list and inspect
            return None
        raise
