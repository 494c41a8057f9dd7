"""Containers and web hooks side by side behind one ports.Tasks."""

from tidegate.adapters.notify.calls import WebTasks
from tidegate.model.desired import Desired
from tidegate.model.diff import plan_tasks
from tidegate.model.observation import Observation, ObservedTask
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask, TaskOperation
from tidegate.model.release import AgentKey
from tidegate.ports import Tasks


class AllTasks:
    """Each operation goes to whoever runs that kind of task."""

    def __init__(self, containers: Tasks, calls: WebTasks | None = None) -> None:
        self._containers = containers
        self._calls = calls or WebTasks()

    async def observe(self, key: AgentKey) -> tuple[ObservedTask, ...]:
        """Both kinds. Raises EngineError."""
        return (*await self._containers.observe(key), *await self._calls.observe(key))

    def plan(self, desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
        """Pure."""
        return plan_tasks(desired, observed)

    async def execute(self, operation: TaskOperation) -> None:
        """Carry out one operation. Raises EngineError."""
        match operation:
            case PrepareTask(_, goal, _) | StartTask(_, goal, _):
                ours = goal.call is not None
            case StopTask(name, _) | RemoveTask(name, _):
                ours = self._calls.knows(name)
        await (self._calls if ours else self._containers).execute(operation)

    async def close(self) -> None:
        """Give up web hooks that are under way; containers run on."""
        await self._calls.close()
        await self._containers.close()
