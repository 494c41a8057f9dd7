"""Tasks of a rollout: which should be ready or run now, and what became of them. Pure.

A task is first made ready, which is no act and may be done again. Then its start is decided and stored, and only then
is it started. From there on its absence means that nobody knows its outcome: it is repeated only where it was declared
repeatable. So a controller killed at any moment never starts a task twice, and never takes one for lost that has not
begun.
"""

from dataclasses import dataclass, replace

from tidegate.core.moves import Note, note
from tidegate.core.view import View
from tidegate.model.decision import Facts
from tidegate.model.desired import Call, Run, TaskGoal, task_name
from tidegate.model.event import Datum, Event, EventKind
from tidegate.model.observation import ObservedTask, TaskState
from tidegate.model.release import Image
from tidegate.model.rollout import AgentState, Rollout, TaskRecord
from tidegate.model.workload import Workload

MOST_ATTEMPTS = 3
"""Of a repeatable task whose outcome is unknown."""
STOP_S = 30.0
"""Beyond its deadline a task is stopped; when even that is not seen within this time, its outcome is unknown."""
LOG_LINES = 20
OVER = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.UNKNOWN})


@dataclass(frozen=True)
class Work:
    """Something to run to completion. `image` None is the candidate's."""

    name: str
    workload: Workload
    timeout_s: float
    image: Image | None = None
    call: Call | None = None
    repeatable: bool = False


def current(view: View, work: Work) -> TaskRecord | None:
    """What became of it, or how it stands; None when it should begin (again).

    A success of an earlier rollout of the same release counts. What failed then runs again: beginning a rollout of the
    same release once more is a person's word.
    """
    own = _of(view.rollout.tasks, work, view)
    if own is not None:
        again = own.state is TaskState.UNKNOWN and work.repeatable and own.attempt < MOST_ATTEMPTS
        return None if again else own
    earlier = _of(view.state.tasks, work, view)
    return earlier if earlier is not None and earlier.state is TaskState.SUCCEEDED else None


def _of(records: tuple[TaskRecord, ...], work: Work, view: View) -> TaskRecord | None:
    release = view.rollout.candidate.release.id
    return next((one for one in reversed(records) if one.name == work.name and one.release == release), None)


def _attempt(view: View, work: Work) -> int:
    last = _of(view.rollout.tasks, work, view) or _of(view.state.tasks, work, view)
    return last.attempt + 1 if last else 1


def goal(view: View, work: Work) -> TaskGoal | None:
    """What should be true of it now: ready, running, or (its time is up) over. None once its result is stored.

    While nothing serves, even a stored result stays: to clean up takes time that the agent needs.
    """
    record = current(view, work)
    over = record is not None and record.state in OVER
    if over and view.rollout.swap.down_since is None:
        return None
    run = Run.RUNNING if record is not None and (over or view.now < record.deadline_at) else Run.STOPPED
    attempt = record.attempt if record is not None else _attempt(view, work)
    late = record is not None and run is Run.STOPPED
    because = f"{work.name} did not end within {work.timeout_s:g} s" if late else view.rollout.because
    candidate = view.rollout.candidate
    return TaskGoal(work.name, candidate, work.workload, work.image, attempt, run, work.call, because)


def ready(view: View, work: Work) -> bool:
    """Whether it only has to be started, or has been."""
    return current(view, work) is not None or _seen(view, work) is not None


def _seen(view: View, work: Work) -> ObservedTask | None:
    key = (view.rollout.candidate.release.id, work.name, _attempt(view, work))
    return next((t for t in view.facts.observation.tasks if (t.release, t.name, t.attempt) == key), None)


def drive(view: View, work: Work) -> Note | TaskRecord:
    """Start it once it is ready and wait for its end: a Note meanwhile, its record when it is over."""
    record = current(view, work)
    if record is not None:
        return record if record.state in OVER else note(view, f"task {work.name} runs")
    wanted = goal(view, work)
    assert wanted is not None
    if reason := view.facts.failures.get(task_name(view.state.key, wanted)):
        return _begin(view, _record(view, work, TaskState.FAILED, f"it could not be made ready: {reason}"))
    if _seen(view, work) is None:
        return note(view, f"task {work.name} is made ready")
    return _begin(view, _record(view, work, TaskState.RUNNING, ""))


def _begin(view: View, record: TaskRecord) -> Note:
    again = f", attempt {record.attempt}" if record.attempt > 1 else ""
    because = f"task {record.name} starts{again}" if not record.detail else f"task {record.name}: {record.detail}"
    after = replace(view.rollout, tasks=(*view.rollout.tasks, record), because=because)
    return Note(after, Event(view.now, view.state.key, EventKind.TASK, because, after.candidate.number))


def _record(view: View, work: Work, state: TaskState, detail: str) -> TaskRecord:
    release, attempt = view.rollout.candidate.release.id, _attempt(view, work)
    return TaskRecord(work.name, release, attempt, state, view.now, view.now + work.timeout_s, detail=detail)


def take(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Store what became of the tasks that were started."""
    rollout = state.active
    if rollout is None or not rollout.tasks:
        return state, ()
    records = tuple(_look(one, state, facts) for one in rollout.tasks)
    changed = [new for old, new in zip(rollout.tasks, records, strict=True) if new != old]
    events = tuple(_event(one, state, rollout, facts.now) for one in changed)
    return replace(state, rollout=replace(rollout, tasks=records)), events


def _look(record: TaskRecord, state: AgentState, facts: Facts) -> TaskRecord:
    if record.state is not TaskState.RUNNING:
        return record
    key = (record.release, record.name, record.attempt)
    seen = next((t for t in facts.observation.tasks if (t.release, t.name, t.attempt) == key), None)
    name = f"{state.key.agent}.{state.key.environment}.task.{record.release}.{record.name}.{record.attempt}"
    if seen is None:
        return _over(record, TaskState.UNKNOWN, facts, "it was gone before anybody saw how it ended")
    if seen.state is TaskState.READY:
        reason = facts.failures.get(name)
        return _over(record, TaskState.FAILED, facts, f"it could not be started: {reason}") if reason else record
    if seen.state is TaskState.RUNNING:
        stuck = facts.now > record.deadline_at + STOP_S
        return _over(record, TaskState.UNKNOWN, facts, "it could not be stopped in time") if stuck else record
    record = replace(record, log=seen.last_log[-LOG_LINES:])
    if seen.state is TaskState.FAILED and facts.now >= record.deadline_at:
        limit = record.deadline_at - record.started_at
        return _over(record, TaskState.FAILED, facts, f"it did not end within {limit:g} s and was stopped")
    said = seen.last_log[-1] if seen.last_log else ""
    code = f"exit code {seen.exit_code}" if seen.exit_code is not None else ""
    detail = said if seen.state is TaskState.SUCCEEDED else ": ".join(filter(None, (code, said)))
    return _over(record, seen.state, facts, detail)


def _over(record: TaskRecord, state: TaskState, facts: Facts, detail: str) -> TaskRecord:
    return replace(record, state=state, ended_at=facts.now, detail=detail)


def _event(record: TaskRecord, state: AgentState, rollout: Rollout, now: float) -> Event:
    took = (record.ended_at or now) - record.started_at
    why = f"task {record.name} {record.state} after {took:.1f} s" + (f": {record.detail}" if record.detail else "")
    data: dict[str, Datum] = {"task": record.name, "state": record.state, "took_s": round(took, 3)}
    return Event(now, state.key, EventKind.TASK, why, rollout.candidate.number, data)
