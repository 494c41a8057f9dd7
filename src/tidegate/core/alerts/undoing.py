"""An alert after promotion: within the time that the spec gives it, it takes the release back."""

from tidegate.core import quarantine
from tidegate.core.alerts.accusing import accused, spend, why
from tidegate.core.intents import deploying
from tidegate.core.refusal import RefusedError
from tidegate.model.alerting import OnAlert
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Intent, Undo
from tidegate.model.rollout import AgentState, Phase

BY = "tidegate"


def undo(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Take a release back that was promoted a while ago, when an alert that takes back fires within that time.

    Never what goes back itself, and never a single host of a fleet: that is the fleet's to decide.
    """
    rollout = state.rollout
    if rollout is None or rollout.phase is not Phase.PROMOTED or rollout.ended_at is None or state.key.host:
        return state, ()
    candidate = rollout.candidate
    if state.stable is None or state.stable.number != candidate.number:
        return state, ()
    until = rollout.ended_at + state.alerting.within_s
    found = [a for a in accused(state, rollout) if a.on_alert is OnAlert.ROLLBACK and (a.fired_at or 0.0) <= until]
    if not found:
        return state, ()
    because = f"{why(found[0])}, {facts.now - rollout.ended_at:.0f} s after promotion"
    state = spend(state, tuple(found))
    data = {"by": BY, "action": "undo", "reason": because}
    try:
        intent = Intent("", state.key, Undo(), BY, facts.now, because)
        after, told = deploying.undo(state, intent, None, facts.now)
        after = quarantine.rejected(after, rollout, because, facts.now)
        kind = EventKind.INTENT
    except RefusedError as refusal:
        after, told, kind = state, f"{because}; not taken back: {refusal}", EventKind.REFUSED
    number = after.rollout.candidate.number if after.rollout else None
    text = f"{because}; {told}" if kind is EventKind.INTENT else told
    return after, (Event(facts.now, state.key, kind, text, number, data),)
