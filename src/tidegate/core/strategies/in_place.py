"""in_place: stop stable, back up its data, start the candidate in its place; keep stable until that has proven itself.

Everything that takes time and touches nothing comes first, while stable serves: the image, the candidate's container
(made, not started), the backup's container, the measuring of volumes and room. Then stop, copy and start follow each
other. Nothing is remembered that can be seen: what is stopped, what runs and what is ready says where it stands.
"""

from collections.abc import Iterator

from tidegate.core import backups, tasks
from tidegate.core.strategies.answers import Shape
from tidegate.core.tasks import Work
from tidegate.core.view import View
from tidegate.model.diff import UP
from tidegate.model.observation import TaskState
from tidegate.model.rollout import Phase
from tidegate.model.spec import InPlace

LOG_LINES = 500
"""Lines of the candidate's log that are looked through for its version and for fatal ones, each time."""


def shape(strategy: InPlace, view: View, phase: Phase) -> Shape:
    """Which of the two runs. Never both."""
    if phase is Phase.REVERTING:
        return _way_back(strategy, view)
    stable = 0 if view.first else 1
    match phase:
        case Phase.PREPARING:
            return Shape(stable, 0, prepared=1)
        case Phase.STOPPING | Phase.BACKING_UP:
            return Shape(0, 0, stable_stopped=stable, prepared=1)
        case _:
            return Shape(0, 1, stable_stopped=stable, log_lines=LOG_LINES)


def _way_back(strategy: InPlace, view: View) -> Shape:
    """The candidate stops, its data goes where that was opted in, then stable starts as it was."""
    if view.first:
        return Shape(0, 0)
    waiting = candidate_up(view) or data_to_put_back(strategy, view) is not None
    return Shape(0, 0, stable_stopped=1, kept=1) if waiting else Shape(1, 0, kept=1)


def candidate_up(view: View) -> bool:
    """Whether the candidate still runs."""
    return any(instance.state in UP for instance in view.candidates)


def stable_up(view: View) -> bool:
    """Whether stable still runs."""
    stable = view.state.stable
    return stable is not None and any(i.state in UP for i in view.facts.observation.of_revision(stable.runs_as))


def data_to_put_back(strategy: InPlace, view: View) -> Work | None:
    """The task that still has to put data back before stable starts, if any.

    Only once the candidate (or a person's restore) may have written, and only from a backup that is whole. When the
    task failed, stable starts with what is there: a stopped agent helps nobody, and the event says so.
    """
    saved = backups.back_up(view.state, view.rollout, strategy)
    copied = tasks.current(view, saved) if saved else None
    wrote = view.rollout.swap.started or _restore_began(strategy, view)
    if copied is None or copied.state is not TaskState.SUCCEEDED or not wrote:
        return None
    work = backups.put_back(view.state, view.rollout, strategy)
    if work is None:
        return None
    record = tasks.current(view, work)
    return None if record is not None and record.state in tasks.OVER else work


def _restore_began(strategy: InPlace, view: View) -> bool:
    asked = backups.put_in(view.state, view.rollout, strategy)
    return asked is not None and tasks.current(view, asked) is not None


def works(strategy: InPlace, view: View, phase: Phase) -> Iterator[Work]:
    """The tasks that should be ready or running in a phase."""
    state, rollout = view.state, view.rollout
    if view.first:
        return
    match phase:
        case Phase.PREPARING:
            wanted: tuple[Work | None, ...] = (
                backups.measure(state, rollout, strategy),
                backups.back_up(state, rollout, strategy),
            )
        case Phase.STOPPING | Phase.BACKING_UP | Phase.STARTING:
            early = backups.measure(state, rollout, strategy), backups.back_up(state, rollout, strategy)
            wanted = (*early, backups.put_in(state, rollout, strategy))
        case Phase.REVERTING:
            wanted = (data_to_put_back(strategy, view),)
        case _:
            return
    yield from (work for work in wanted if work is not None)
