"""A controller takes a rollout up after a time in which nobody watched it: what that time was to show is made up for.

Time that passed while no controller lived is no evidence: a bake that ended in it would promote what nobody looked at,
and a deadline that ran out in it would take back what was never waited for. A pause of a given length is a wait and
nothing else, and goes on by the clock. Pure.
"""

from dataclasses import replace

from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState, Rollout

EVERY_S = 5.0
"""How often it is written down that somebody watches: what nobody watched is known to within this."""


def made_up(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """The state with the phase and the step under way longer by the time in which nobody watched."""
    rollout, now = state.active, facts.now
    if not facts.resumed or rollout is None or not rollout.looked_at:
        return state, ()
    rollout = replace(rollout, taken_up_at=now)
    known = max(rollout.looked_at, rollout.phase_since, rollout.cursor_since, *rollout.ready_since.values())
    gap = 0.0 if state.unreachable_since is not None else max(0.0, now - known)
    events: tuple[Event, ...] = ()
    if gap > 2 * EVERY_S:
        why = f"nobody watched for up to {gap:.0f} s: what is under way goes on for as much longer"
        number = rollout.candidate.number
        events = (Event(now, state.key, EventKind.PHASE, why, number, {"gap_s": round(gap, 1)}),)
    longer = replace(rollout, phase_since=rollout.phase_since + gap, cursor_since=rollout.cursor_since + gap)
    return replace(state, rollout=longer), events


def until(rollout: Rollout, since: float, seconds: float) -> float:
    """When watching for these seconds ends (unix seconds).

    Not before a controller that took the rollout up can have measured every threshold twice: it begins with nothing.
    """
    if not seconds:
        return since
    slowest = max((metric.interval_s for metric in rollout.analysis.metrics), default=1.0)
    return max(since + seconds, rollout.taken_up_at + 2 * slowest + 1.0)


def watched(state: AgentState, now: float) -> AgentState:
    """The state that remembers, now and then, that somebody watched."""
    rollout = state.active
    if rollout is None or not due(rollout.looked_at, now):
        return state
    return replace(state, rollout=replace(rollout, looked_at=now))


def due(looked_at: float, now: float) -> bool:
    """Whether to write down that somebody watches."""
    return abs(now - looked_at) >= EVERY_S
