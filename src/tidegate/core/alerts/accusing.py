"""Which alerts speak against a release, and what they do to it.

An alert accuses the release of a rollout when it fires, began after the rollout did, and is about the candidate or
about the agent as a whole. Trouble that was there before accuses nobody: a rule that was pending or fired, for whatever
subject, when the rollout began or shortly before it, accuses nobody for as long as that rollout is looked at; nor does
an alert that flaps.
"""

from dataclasses import replace

from tidegate.model.alerting import Alert, AlertPhase, OnAlert
from tidegate.model.rollout import AgentState, PauseKind, Phase, Rollout

BEFORE_S = 600.0
"""An alert that ended this shortly before a rollout was there before it."""

FLAPS = 3
"""An alert with this many episodes that are remembered flaps: it is told, and does nothing else."""


def accused(state: AgentState, rollout: Rollout) -> tuple[Alert, ...]:
    """The alerts that speak against the rollout's release and have not acted yet; those that take it back first.

    None against what goes back itself: trouble in mid-undo is that of the release that it takes back.
    """
    if rollout.fast or rollout.candidate.undo_of is not None:
        return ()
    found = [alert for alert in state.alerts if not alert.acted and _accuses(state, rollout, alert)]
    return tuple(sorted(found, key=lambda one: one.on_alert is not OnAlert.ROLLBACK))


def _accuses(state: AgentState, rollout: Rollout, alert: Alert) -> bool:
    acts = alert.phase is AlertPhase.FIRING and alert.on_alert in (OnAlert.PAUSE, OnAlert.ROLLBACK)
    about = alert.revision in (None, rollout.candidate.runs_as)
    if not acts or not about or alert.since < rollout.started_at or len(alert.past) >= FLAPS:
        return False
    same = (one for one in state.alerts if (one.rule, one.is_external) == (alert.rule, alert.is_external))
    return not any(_was_there(one, rollout.started_at) for one in same)


def _was_there(alert: Alert, began: float) -> bool:
    under_way = alert.phase is not AlertPhase.RESOLVED and alert.since < began
    return under_way or any(one.since < began and one.ended > began - BEFORE_S for one in alert.past)


def why(alert: Alert) -> str:
    """For a person."""
    return f"alert {alert.title} fires: {alert.because}"


def mark_acted(before: AgentState, state: AgentState) -> AgentState:
    """What accused the rollout has acted, once the rollout turned back or waits for a person: a person's word to go on
    all the same holds."""
    rollout = state.rollout
    if rollout is None or not before.alerts or before.active is None:
        return state
    held = rollout.hold is not None and rollout.hold.kind is PauseKind.ANALYSIS
    if rollout.turned_at is None and not (rollout.phase is Phase.PAUSED and held):
        return state
    return spend(state, accused(state, rollout))


def spend(state: AgentState, alerts: tuple[Alert, ...]) -> AgentState:
    """The state in which these have acted."""
    if not alerts:
        return state
    spent = {id(alert) for alert in alerts}
    return replace(state, alerts=tuple(replace(a, acted=True) if id(a) in spent else a for a in state.alerts))
