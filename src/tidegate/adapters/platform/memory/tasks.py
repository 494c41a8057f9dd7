"""Tasks of the memory platform: ports.Tasks over one World. Web hooks among them are lost with their controller."""

from tidegate.adapters.platform.memory.world import Deed, Job, World
from tidegate.model.desired import Desired, task_name
from tidegate.model.diff import plan_tasks
from tidegate.model.errors import EngineError
from tidegate.model.observation import Observation, ObservedTask, TaskState
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask, TaskOperation
from tidegate.model.release import AgentKey


class MemoryTasks:
    """ports.Tasks in memory. How a task turns out is told by the world's `deeds`."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def observe(self, key: AgentKey) -> tuple[ObservedTask, ...]:
        """Every job of the agent."""
        if not self.world.reachable:
            raise EngineError("switched off")
        return tuple(self._observed(name, job) for name, job in self.world.jobs.items() if job.key == key)

    def _observed(self, name: str, job: Job) -> ObservedTask:
        goal, deed = job.goal, self._deed(job)
        state, code = TaskState.READY, None
        if job.stopped:
            state, code = TaskState.FAILED, 137
        elif job.started_at is not None and self.world.now < job.started_at + deed.seconds:
            state = TaskState.RUNNING
        elif job.started_at is not None:
            code = deed.exit_code
            state = TaskState.FAILED if code else TaskState.SUCCEEDED
        log = deed.log if state in (TaskState.SUCCEEDED, TaskState.FAILED) else ()
        return ObservedTask(goal.name, goal.revision.release.id, goal.attempt, state, name, name, code, log)

    def _deed(self, job: Job) -> Deed:
        return self.world.deeds.get(job.goal.name.partition("-r")[0], Deed())

    def plan(self, desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
        """Pure."""
        return plan_tasks(desired, observed)

    async def execute(self, operation: TaskOperation) -> None:
        """Apply to the world, atomically."""
        if not self.world.reachable:
            raise EngineError("switched off")
        self.world.calls += 1
        self.world.on_call("before", operation)
        self._apply(operation)
        self.world.on_call("after", operation)

    def _apply(self, operation: TaskOperation) -> None:
        jobs = self.world.jobs
        match operation:
            case PrepareTask(key, goal, _):
                job = Job(key, goal)
                if self._deed(job).refused:
                    raise EngineError(self._deed(job).refused)
                jobs.setdefault(task_name(key, goal), job)
            case StartTask(key, goal, _):
                name = task_name(key, goal)
                if jobs[name].started_at is None:
                    jobs[name].started_at = self.world.now
                    self.world.runs.append(goal.name)
                    if self._deed(jobs[name]).vanishes:
                        del jobs[name]
            case StopTask(name, _):
                if name in jobs:
                    jobs[name].stopped = True
            case RemoveTask(name, _):
                jobs.pop(name, None)

    async def close(self) -> None:
        """Nothing to let go of."""
