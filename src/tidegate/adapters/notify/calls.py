"""Web hooks as tasks: ports.Tasks for goals with a call. A POST of JSON; any 2xx answer is a success.

They live in this process. When it dies in mid-call, nobody knows whether the other side acted: the record in the state
says that the call was started, nothing is observed of it, and so its outcome is unknown.
"""

import asyncio
from dataclasses import dataclass

import aiohttp

from tidegate.model.desired import Desired, TaskGoal, task_name
from tidegate.model.diff import plan_tasks
from tidegate.model.observation import Observation, ObservedTask, TaskState
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask, StopTask, TaskOperation
from tidegate.model.release import AgentKey

CONNECT_S = 10.0
LONGEST_S = 3600.0


@dataclass
class _Call:
    key: AgentKey
    goal: TaskGoal
    task: asyncio.Task[str] | None = None


class WebTasks:
    """The web hooks of one controller."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def knows(self, name: str) -> bool:
        """Whether it is one of ours."""
        return name in self._calls

    async def observe(self, key: AgentKey) -> tuple[ObservedTask, ...]:
        """The agent's calls that are ready, under way or over."""
        return tuple(_observed(name, call) for name, call in self._calls.items() if call.key == key)

    def plan(self, desired: Desired, observed: Observation) -> tuple[TaskOperation, ...]:
        """Pure."""
        return plan_tasks(desired, observed)

    async def execute(self, operation: TaskOperation) -> None:
        """Carry out one operation. A call is made once."""
        match operation:
            case PrepareTask(key, goal, _):
                self._calls.setdefault(task_name(key, goal), _Call(key, goal))
            case StartTask(key, goal, _):
                name = task_name(key, goal)
                call = self._calls.get(name)
                if call is not None and call.task is None:
                    call.task = asyncio.create_task(_post(name, call), name=f"web hook {goal.name}")
            case StopTask(name, _):
                call = self._calls.get(name)
                if call is not None and call.task is not None:
                    call.task.cancel()
                    await asyncio.gather(call.task, return_exceptions=True)
            case RemoveTask(name, _):
                self._calls.pop(name, None)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [call.task for call in self._calls.values() if call.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._calls.clear()


def _observed(name: str, call: _Call) -> ObservedTask:
    goal, said = call.goal, ""
    if call.task is None:
        state = TaskState.READY
    elif not call.task.done():
        state = TaskState.RUNNING
    else:
        said = "it was given up" if call.task.cancelled() else call.task.result()
        state = TaskState.FAILED if said else TaskState.SUCCEEDED
    log = (said,) if said else ()
    return ObservedTask(goal.name, goal.revision.release.id, goal.attempt, state, name, last_log=log)


async def _post(name: str, call: _Call) -> str:
    """Make the call: empty for success, else what went wrong. The address's query never shows: it may be a token."""
    goal = call.goal
    assert goal.call is not None
    shown = goal.call.shown
    body = {
        "type": "dev.tidegate.hook",
        "hook": goal.name,
        "agent": call.key.agent,
        "environment": call.key.environment,
        "revision": goal.revision.number,
        "version": goal.revision.release.version,
        "release": goal.revision.release.id,
        "attempt": goal.attempt,
    }
    limits = aiohttp.ClientTimeout(total=LONGEST_S, sock_connect=CONNECT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.post(goal.call.url, json=body, headers={"Idempotency-Key": name}, allow_redirects=False) as answer,
        ):
            return "" if 200 <= answer.status < 300 else f"POST {shown} answered {answer.status}"
    except aiohttp.InvalidURL:
        return f"POST {shown}: this is no address"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(error).__name__
        return f"POST {shown}: {reason}"
