"""What a task of its own says on the host: which backups there are, or what was written since one."""

import asyncio
import uuid
from dataclasses import replace

from tidegate.core.backups import ASIDE, look
from tidegate.model.desired import Run, task_name
from tidegate.model.errors import EngineError, NotFoundError
from tidegate.model.observation import TaskState
from tidegate.model.operation import PrepareTask, RemoveTask, StartTask
from tidegate.model.release import AgentKey
from tidegate.ports import Tasks

LOOK_S = 120.0
"""Making the image for backups, the first time, is in it."""


async def ask_backups(
    tasks: Tasks | None, key: AgentKey, backup: str = "", volumes: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """A line a backup, or what was written since one. Raises EngineError, NotFoundError, TimeoutError."""
    if tasks is None:
        raise EngineError("this platform runs no tasks, so it has no backups")
    aside = AgentKey(ASIDE, key.environment)
    goal = replace(look(key, uuid.uuid4().hex[:12], backup, volumes), run=Run.RUNNING)
    name = task_name(aside, goal)
    try:
        async with asyncio.timeout(LOOK_S):
            while True:
                seen = next((task for task in await tasks.observe(aside) if task.container == name), None)
                if seen is None:
                    await tasks.execute(PrepareTask(aside, goal, "a command asks"))
                elif seen.state is TaskState.READY:
                    await tasks.execute(StartTask(aside, goal, "a command asks"))
                elif seen.state is TaskState.SUCCEEDED:
                    return seen.last_log
                elif seen.state is TaskState.FAILED:
                    said = seen.last_log[-1] if seen.last_log else f"exit code {seen.exit_code}"
                    raise NotFoundError(said, hint="tidegate backup list shows what there is")
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"the host did not answer within {LOOK_S:g} s") from None
    finally:
        await tasks.execute(RemoveTask(name, "the command has its answer"))
