"""Carries out plans. It decides nothing: each operation goes by its type to the platform, the tasks or the gateway.

Traffic goes first. Operations on different instances run side by side; what the engine refuses is tried again with a
growing pause, and after three refusals in a row it becomes a fact that the next decision sees. An engine that cannot be
reached has not refused anything.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tidegate.controller.lease import Lease
from tidegate.model.desired import task_name
from tidegate.model.errors import LeaseLostError, TidegateError, UnreachableError
from tidegate.model.operation import (
    ApplyRoutes,
    CreateInstance,
    GatewayOperation,
    Operation,
    PlatformOperation,
    PrepareTask,
    PullImage,
    RemoveImage,
    RemoveInstance,
    RemoveTask,
    RestartInstance,
    StartGateway,
    StartInstance,
    StartTask,
    StopInstance,
    StopTask,
    TaskOperation,
)
from tidegate.ports import Clock, Gateway, Platform, Tasks

STUBBORN = 3
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Done:
    """What became of one operation; `error` is empty when it was carried out."""

    operation: Operation
    error: str
    took_s: float


@dataclass(frozen=True)
class _Refusal:
    count: int
    reason: str
    not_before: float


class Executor:
    """Carries out the operations of one agent's plans."""

    def __init__(self, platform: Platform, gateway: Gateway, tasks: Tasks | None, clock: Clock, lease: Lease) -> None:
        self._platform = platform
        self._tasks = tasks
        self._gateway = gateway
        self._clock = clock
        self._lease = lease
        self._refusals: dict[tuple[type[Operation], str], _Refusal] = {}

    def failures(self) -> dict[str, str]:
        """What the engine refuses again and again: subject -> reason."""
        return {name: refusal.reason for (_, name), refusal in self._refusals.items() if refusal.count >= STUBBORN}

    def hopeless(self, operations: Sequence[Operation]) -> bool:
        """Whether nothing is left to do but what is refused again and again (true of an empty plan)."""
        refusals = (self._refusals.get(_name(operation)) for operation in operations)
        return all(refusal is not None and refusal.count >= STUBBORN for refusal in refusals)

    async def traffic(self, operations: Sequence[GatewayOperation]) -> list[Done]:
        """Carry out the gateway's operations, in order. The gateway itself refuses whose lease another has taken."""
        return [await self._attempt(operation) for operation in operations if self._due(operation)]

    async def instances(self, operations: Sequence[PlatformOperation | TaskOperation]) -> list[Done]:
        """Carry out the operations on instances and tasks, those of different ones side by side."""
        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(operation: PlatformOperation | TaskOperation) -> Done:
            async with gate:
                return await self._attempt(operation)

        due = [operation for operation in operations if self._due(operation)]
        # One after the other where order was planned for; a single operation needs no task of its own.
        if len(due) == 1:
            return [await self._attempt(due[0])]
        return list(await asyncio.gather(*(one(operation) for operation in due)))

    def _due(self, operation: Operation) -> bool:
        refusal = self._refusals.get(_name(operation))
        return refusal is None or self._clock.now() >= refusal.not_before

    async def _attempt(self, operation: Operation) -> Done:
        began = self._clock.now()
        name = _name(operation)
        if self._lease.expired and not isinstance(operation, ApplyRoutes):
            return Done(operation, "the lease could not be renewed in time", 0.0)
        try:
            await self._carry_out(operation)
        except LeaseLostError:
            raise
        except UnreachableError as error:
            former = self._refusals.get(name, _Refusal(0, "", 0.0))
            self._refusals[name] = replace(former, not_before=self._clock.now() + FIRST_PAUSE_S)
            return Done(operation, error.message, self._clock.now() - began)
        except TidegateError as error:
            count = self._refusals[name].count + 1 if name in self._refusals else 1
            pause = min(FIRST_PAUSE_S * 2 ** (count - 1), LONGEST_PAUSE_S)
            self._refusals[name] = _Refusal(count, error.message, self._clock.now() + pause)
            return Done(operation, error.message, self._clock.now() - began)
        self._refusals.pop(name, None)
        return Done(operation, "", self._clock.now() - began)

    async def _carry_out(self, operation: Operation) -> None:
        match operation:
            case StartGateway() | ApplyRoutes():
                await self._gateway.execute(operation)
            case (
                PullImage()
                | RemoveImage()
                | CreateInstance()
                | StartInstance()
                | RestartInstance()
                | StopInstance()
                | RemoveInstance()
            ):
                await self._platform.execute(operation)
            case PrepareTask() | StartTask() | StopTask() | RemoveTask():
                assert self._tasks is not None, "operations on tasks come from a runner of tasks"
                await self._tasks.execute(operation)


def _name(operation: Operation) -> tuple[type[Operation], str]:
    """What is refused: to start an instance, say, which says nothing about removing it."""
    return type(operation), subject(operation)


def subject(operation: Operation) -> str:
    """What an operation is about: the instance, the task, the image, or the gateway."""
    match operation:
        case CreateInstance(_, goal, _):
            return goal.name
        case StartInstance(name) | RestartInstance(name) | StopInstance(name) | RemoveInstance(name):
            return name
        case PrepareTask(key, task, _) | StartTask(key, task, _):
            return task_name(key, task)
        case StopTask(name) | RemoveTask(name):
            return name
        case PullImage(image, _) | RemoveImage(image, _):
            return image.reference
        case StartGateway() | ApplyRoutes():
            return "gateway"
