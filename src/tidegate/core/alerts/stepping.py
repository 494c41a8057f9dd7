"""The state of each rule for each subject: pending, firing, resolved, as of each decision.

Pending begins when the condition holds, and is over at once when it does not. It becomes firing when the condition has
held for `for` and at `consecutive` looks in a row. A firing alert ends when the value has been clear for
`keep_firing_for`, or with its subject. No data neither fires nor ends anything, for ten minutes.
"""

from dataclasses import replace

from tidegate.model.alerting import ALERTMANAGER, Alert, AlertPhase, AlertRule, Episode, Signal
from tidegate.model.decision import Facts
from tidegate.model.event import Event, EventKind
from tidegate.model.rollout import AgentState

REMEMBER_S = 3600.0
"""How long what fired is remembered: for people, and as a sign of trouble that was there before a rollout."""

NO_DATA_S = 600.0
MOST_EPISODES = 5
MOST = 500
"""Alerts kept of one agent; the oldest that are over go first."""


def watch(state: AgentState, facts: Facts) -> tuple[AgentState, tuple[Event, ...]]:
    """Every rule looked at anew. One event for each alert that begins to fire, and for each that ends."""
    if not state.alerting.rules and not state.alerts:
        return state, ()
    now = facts.now
    ours = [alert for alert in state.alerts if not alert.is_external]
    if facts.resumed:  # time in which nobody looked proves nothing
        ours = [replace(one, held_since=now, count=1, looked_at=now) if _pends(one) else one for one in ours]
    known = {(alert.rule, alert.subject): alert for alert in ours}
    after: list[Alert] = [one for alert in state.alerts if alert.is_external and (one := _kept(alert, now))]
    for rule in state.alerting.rules:
        if rule.source == ALERTMANAGER:
            continue
        signals, present = facts.signals.get(rule.name, {}), _present(facts)
        names = {*signals, *(subject for name, subject in known if name == rule.name)}
        for subject in sorted(names):
            signal = signals.get(subject) if subject in present else None
            before = known.pop((rule.name, subject), None)
            if subject not in present:
                after += _over(before, now, f"{subject} is gone")
            elif signal is None:
                after += _unknown(before, now)
            else:
                after += _step(rule, subject, before, signal, now)
    for left in known.values():
        after += _over(left, now, "its rule is gone")
    alerts = _bounded(after)
    if alerts == state.alerts:
        return state, ()
    after_all = replace(state, alerts=alerts)
    return after_all, told(after_all, state.alerts, now)


def _pends(alert: Alert) -> bool:
    return alert.phase is AlertPhase.PENDING


def _present(facts: Facts) -> frozenset[str]:
    """What alerts can be about: the instances that are there, and their revisions."""
    instances = facts.observation.instances
    return frozenset(one.name for one in instances) | {f"r{one.revision}" for one in instances}


def _step(rule: AlertRule, subject: str, before: Alert | None, signal: Signal, now: float) -> list[Alert]:
    bad = rule.is_bad(signal.value)
    if before is None or before.phase is AlertPhase.RESOLVED:
        if not bad:
            return [kept] if before and (kept := _kept(before, now)) else []
        begun = Alert(
            rule.name, subject, AlertPhase.PENDING, now, _why(rule, signal), rule.severity, rule.on_alert,
            signal.revision, rule.labels, held_since=now, looked_at=now, past=before.past if before else (),
        )  # fmt: skip
        return [_fired(rule, begun, signal, now)]
    before = replace(before, unknown_since=None, severity=rule.severity, on_alert=rule.on_alert)
    if before.phase is AlertPhase.PENDING:
        if not bad:
            return _over(before, now, "")
        if before.count < rule.consecutive and now >= before.looked_at + rule.every_s:
            before = replace(before, count=before.count + 1, looked_at=now)
        return [_fired(rule, before, signal, now)]
    if not rule.is_clear(signal.value):
        return [replace(before, good_since=None)]
    since = before.good_since if before.good_since is not None else now
    if now - since >= rule.keep_firing_s:
        return _over(before, now, f"{rule.query} is {signal.value:.4g} again")
    return [replace(before, good_since=since)]


def _fired(rule: AlertRule, alert: Alert, signal: Signal, now: float) -> Alert:
    """The pending alert, firing where its condition has held for long enough."""
    if now - alert.held_since < rule.for_s or alert.count < rule.consecutive:
        return alert
    return replace(alert, phase=AlertPhase.FIRING, fired_at=now, because=_why(rule, signal), acted=False)


def _why(rule: AlertRule, signal: Signal) -> str:
    held = f" for {rule.for_s:g} s" if rule.for_s else ""
    held += f", {rule.consecutive} times in a row" if rule.consecutive > 1 else ""
    said = f"{rule.summary}: " if rule.summary else ""
    return f"{said}{signal.value:.4g} ({rule.condition}{held})"


def _unknown(before: Alert | None, now: float) -> list[Alert]:
    if before is None:
        return []
    if before.phase is AlertPhase.RESOLVED:
        return [kept] if (kept := _kept(before, now)) else []
    since = before.unknown_since if before.unknown_since is not None else now
    if now - since >= NO_DATA_S:
        return _over(before, now, f"no data for {NO_DATA_S:g} s")
    return [replace(before, unknown_since=since)]


def _over(before: Alert | None, now: float, because: str) -> list[Alert]:
    """What is left of an alert that ended: one that never fired is forgotten, unless it did before."""
    if before is None:
        return []
    if before.phase is AlertPhase.RESOLVED:
        return [kept] if (kept := _kept(before, now)) else []
    if before.phase is AlertPhase.FIRING:
        return [ended(before, now, because)]
    return [replace(before, phase=AlertPhase.RESOLVED)] if before.past else []


def ended(alert: Alert, now: float, because: str) -> Alert:
    """A firing alert, resolved."""
    past = (*alert.past, Episode(alert.since, now))[-MOST_EPISODES:]
    return replace(alert, phase=AlertPhase.RESOLVED, past=past, because=because, good_since=None, unknown_since=None)


def _kept(alert: Alert, now: float) -> Alert | None:
    """The alert, unless it is over and long enough ago."""
    over = alert.phase is AlertPhase.RESOLVED
    return None if over and (not alert.past or now - alert.past[-1].ended > REMEMBER_S) else alert


def _bounded(alerts: list[Alert]) -> tuple[Alert, ...]:
    if len(alerts) <= MOST:
        return tuple(alerts)
    over = sorted((one for one in alerts if one.phase is AlertPhase.RESOLVED), key=lambda one: one.past[-1].ended)
    left_out = {id(one) for one in over[: len(alerts) - MOST]}
    return tuple(one for one in alerts if id(one) not in left_out)[:MOST]


def told(state: AgentState, before: tuple[Alert, ...], now: float) -> tuple[Event, ...]:
    """One event for each alert that fires and did not before, and for each that no longer does."""
    fired = {identity(alert) for alert in before if alert.phase is AlertPhase.FIRING}
    changed = [one for one in state.alerts if (one.phase is AlertPhase.FIRING) != (identity(one) in fired)]
    return tuple(_event(state, alert, now) for alert in changed)


def identity(alert: Alert) -> tuple[str, str, str]:
    """What makes it this alert."""
    return alert.rule, alert.subject, alert.fingerprint


def _event(state: AgentState, alert: Alert, now: float) -> Event:
    """The line of the log about an alert that fires or ended; a notice, too."""
    firing = alert.phase is AlertPhase.FIRING
    text = f"{alert.severity} alert {alert.title} of {state.key} {'fires' if firing else 'is over'}: {alert.because}"
    data = {
        "end": "alert_firing" if firing else "alert_resolved",
        "alert": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity.value,
        "on_alert": alert.on_alert.value,
        "since": alert.since,
        **{f"label_{name}": value for name, value in alert.labels.items()},
    }
    return Event(now, state.key, EventKind.ALERT, text, alert.revision, data)


def next_look(state: AgentState) -> float | None:
    """When time alone makes a pending alert fire, or a firing one end (unix seconds)."""
    times = []
    for alert in state.alerts:
        rule = state.alerting.rule(alert.rule)
        if rule is None or alert.is_external:
            continue
        if alert.phase is AlertPhase.PENDING:
            again = alert.looked_at + rule.every_s if alert.count < rule.consecutive else 0.0
            times.append(max(alert.held_since + rule.for_s, again))
        elif alert.phase is AlertPhase.FIRING and alert.good_since is not None:
            times.append(alert.good_since + rule.keep_firing_s)
    return min(times, default=None)
