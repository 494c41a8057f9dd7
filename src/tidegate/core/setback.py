"""The clock was set back: the times of what is under way go back with it, so that no wait gets longer by it. Pure.

It shows when something is remembered that is later than now. A clock set back by less than that is not seen, and makes
what runs wait longer by as much. A clock set forward ends waits early, which is safe: evidence is counted in blocks,
never in time that nobody watched.
"""

from dataclasses import replace

from tidegate.core.healing import LONGEST_S
from tidegate.model.rollout import AgentState, Retiring, Rollout, TaskRecord
from tidegate.model.verdict import MetricState


def brought_to(state: AgentState, now: float) -> AgentState:
    """The state without times that only a clock set back can explain."""
    if state.unreachable_since is not None and state.unreachable_since > now:
        state = replace(state, unreachable_since=now)
    rollout = state.rollout
    if rollout is not None and (gap := now - _latest(rollout)) < 0:
        retiring = state.retiring if state.active else tuple(_left(leaving, gap) for leaving in state.retiring)
        state = replace(state, rollout=_turned(rollout, gap, now), retiring=retiring)
    if any(entry.not_before > now + LONGEST_S for entry in state.restarts.values()):
        restarts = {
            name: replace(entry, not_before=min(entry.not_before, now + LONGEST_S))
            for name, entry in state.restarts.items()
        }
        state = replace(state, restarts=restarts)
    return state


def postponed(rollout: Rollout, gap: float) -> Rollout:
    """The rollout with its deadlines moved: by a time in which nobody could look, or back with the clock (negative)."""
    hold = rollout.hold
    if hold and hold.until is not None:
        hold = replace(hold, until=hold.until + gap)
    return replace(rollout, phase_since=rollout.phase_since + gap, cursor_since=rollout.cursor_since + gap, hold=hold)


def _latest(rollout: Rollout) -> float:
    """The latest time that is remembered of something that has happened."""
    times = [rollout.phase_since, rollout.cursor_since, rollout.ended_at or 0.0, *rollout.ready_since.values()]
    times += [row.since for row in rollout.monitor if row.since is not None]
    times += [task.started_at for task in rollout.tasks if task.ended_at is None]
    times += [metric.window_since for metric in rollout.metrics]
    return max(times)


def _turned(rollout: Rollout, gap: float, now: float) -> Rollout:
    """All of them moved by the same, so that what came first still did."""
    down = rollout.swap.down_since
    monitor = (replace(row, since=None if row.since is None else row.since + gap) for row in rollout.monitor)
    return replace(
        postponed(rollout, gap),
        ready_since={name: since + gap for name, since in rollout.ready_since.items()},
        monitor=tuple(monitor),
        tasks=tuple(_begun(task, gap) for task in rollout.tasks),
        metrics=tuple(_measured(metric, gap) for metric in rollout.metrics),
        swap=replace(rollout.swap, down_since=None if down is None else down + gap),
        watched_since=rollout.watched_since and rollout.watched_since + gap,
        ended_at=None if rollout.ended_at is None else min(rollout.ended_at, now),
    )


def _begun(task: TaskRecord, gap: float) -> TaskRecord:
    if task.ended_at is not None:
        return task
    return replace(task, started_at=task.started_at + gap, deadline_at=task.deadline_at + gap)


def _measured(metric: MetricState, gap: float) -> MetricState:
    last = None if metric.last is None else replace(metric.last, at=metric.last.at + gap)
    return replace(metric, started_at=metric.started_at + gap, window_since=metric.window_since + gap, last=last)


def _left(leaving: Retiring, gap: float) -> Retiring:
    warm = leaving.warm_until + gap if leaving.warm_until else 0.0
    return replace(leaving, until=leaving.until + gap, warm_until=warm)
