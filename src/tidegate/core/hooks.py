"""Hooks: container tasks and web hooks before and after a rollout. Pure.

A hook that succeeded for a release is not run again for it. A hook whose outcome nobody knows stops for a person:
`resume` takes it as done, `abort` goes back.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tidegate.core import tasks
from tidegate.core.alarm import turn_back
from tidegate.core.moves import Move, Note
from tidegate.core.tasks import Work
from tidegate.core.view import View
from tidegate.model.desired import Call
from tidegate.model.observation import TaskState
from tidegate.model.release import Image
from tidegate.model.rollout import AgentState, Hold, PauseKind, Phase, Rollout, TaskRecord
from tidegate.model.spec import Hook, OnFail
from tidegate.model.workload import Workload

KEPT = 50
"""Results of hooks kept for releases that are over."""


def works(view: View, hooks: Iterable[Hook]) -> Iterator[Work]:
    """The first hook that is not over: the one that should be ready or run."""
    for hook in hooks:
        work = work_of(view, hook)
        record = tasks.current(view, work)
        if record is None or record.state is TaskState.RUNNING:
            yield work
            return


def run(view: View, hooks: Iterable[Hook]) -> Move | Note | None:
    """One after the other; None when all are done."""
    for hook in hooks:
        result = tasks.drive(view, work_of(view, hook))
        if isinstance(result, Note):
            return result
        if result.state is not TaskState.SUCCEEDED and (move := _not_done(view, hook, result)):
            return move
    return None


def _not_done(view: View, hook: Hook, record: TaskRecord) -> Move | None:
    what = f"hook {hook.name}"
    if record.state is TaskState.UNKNOWN:
        return _ask(view, f"the outcome of {what} is unknown ({record.detail}): resume takes it as done")
    fault = f"{what} failed: {record.detail}"
    match hook.on_fail:
        case OnFail.NOTIFY:
            return None
        case OnFail.PAUSE:
            return _ask(view, f"{fault}; resume goes on without it")
        case OnFail.ABORT:
            return turn_back(view, "\n".join((fault, *(f"    {line}" for line in record.log[:-1]))))


def _ask(view: View, because: str) -> Move:
    return Move(Phase.PAUSED, because, hold=Hold(PauseKind.TASK, view.rollout.phase, because))


def work_of(view: View, hook: Hook) -> Work:
    """A hook as work. Its container has what the workload has, apart from what only a server needs."""
    if hook.url:
        return Work(hook.name, Workload(), hook.timeout_s, call=Call(hook.url), repeatable=hook.repeatable)
    workload = replace(
        view.rollout.candidate.workload,
        command=hook.command,
        entrypoint=(),
        ports=(),
        routes=(),
        healthcheck=None,
        readiness=None,
        liveness=None,
        restart="no",
        hostname="",
    )
    image = Image(hook.image) if hook.image else None
    return Work(hook.name, workload, hook.timeout_s, image, repeatable=hook.repeatable)


def taken_as_done(rollout: Rollout, by: str) -> Rollout:
    """A person's word in place of outcomes that are unknown or bad."""

    def done(record: TaskRecord) -> TaskRecord:
        if record.state not in (TaskState.UNKNOWN, TaskState.FAILED):
            return record
        return replace(record, state=TaskState.SUCCEEDED, detail=f"taken as done by {by}; {record.detail}")

    return replace(rollout, tasks=tuple(done(record) for record in rollout.tasks))


def remember(state: AgentState, rollout: Rollout) -> AgentState:
    """Keep what became of the hooks of a rollout that is over."""
    names = {hook.name for hook in (*rollout.hooks.pre, *rollout.hooks.post) if not hook.repeatable}
    kept = (*state.tasks, *(record for record in rollout.tasks if record.name in names))
    return replace(state, tasks=kept[-KEPT:])
