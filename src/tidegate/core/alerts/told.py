"""Alerts that were evaluated elsewhere: an Alertmanager tells that one fires, or that it is over."""

from dataclasses import replace

from tidegate.core.alerts.stepping import ended
from tidegate.model.alerting import ALERTMANAGER, Alert, AlertPhase, OnAlert, Severity
from tidegate.model.intent import TellAlert
from tidegate.model.rollout import AgentState


def tell(state: AgentState, action: TellAlert, now: float) -> tuple[AgentState, str]:
    """Take one in. What it does is what the spec's rule of its name says; without such a rule it is only told.

    It began at the earlier of what the teller's clock says and now: a clock that runs ahead must not make it younger.
    """
    rule = state.alerting.rule(action.rule)
    rule = rule if rule is not None and rule.source == ALERTMANAGER else None
    before = next((one for one in state.alerts if one.fingerprint == action.fingerprint), None)
    firing = before is not None and before.phase is AlertPhase.FIRING
    since = min(action.starts_at, now)
    if not action.firing:
        if before is None or not firing or action.starts_at < before.since:
            return state, f"{action.rule} is over, and was not known to fire"
        after = ended(before, now, "Alertmanager says that it is resolved")
    elif before is not None and firing:
        return state, f"{before.title} fires already"
    else:
        severity = Severity(action.severity) if action.severity in set(Severity) else Severity.WARNING
        after = Alert(
            action.rule,
            action.subject,
            AlertPhase.FIRING,
            since,
            action.summary or "Alertmanager says so",
            rule.severity if rule is not None and not action.severity else severity,
            rule.on_alert if rule is not None else OnAlert.NOTIFY,
            action.revision,
            action.labels,
            fired_at=now,
            past=before.past if before else (),
            fingerprint=action.fingerprint,
        )
    others = tuple(one for one in state.alerts if one.fingerprint != action.fingerprint)
    state = replace(state, alerts=(*others, after))
    word = "fires" if after.phase is AlertPhase.FIRING else "is over"
    return state, f"{after.title} {word}"
