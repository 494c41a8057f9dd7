"""alerts: what fires and what is pending, since when and why; and the rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tidegate.model.alerting import ALERTMANAGER, Alert, Alerting, AlertPhase, Severity
from tidegate.model.rollout import AgentState
from tidegate.views.lines import Line, Span, first_line, span_of, table

_ORDER = (AlertPhase.FIRING, AlertPhase.PENDING, AlertPhase.RESOLVED)
_WORST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_TONES = {AlertPhase.FIRING: "red", AlertPhase.PENDING: "yellow", AlertPhase.RESOLVED: "dim"}


@dataclass(frozen=True)
class AlertRow:
    """One alert. Times are unix seconds: `since` when its condition began to hold, `fired_at` when it fired."""

    agent: str
    environment: str
    host: str
    alert: str
    subject: str
    phase: AlertPhase
    severity: Severity
    on_alert: str
    since: float
    fired_at: float | None
    ended_at: float | None
    because: str
    source: str
    labels: dict[str, str]


@dataclass(frozen=True)
class RuleRow:
    """One rule."""

    rule: str
    source: str
    condition: str
    for_s: float
    consecutive: int
    clear: float | None
    keep_firing_s: float
    severity: Severity
    on_alert: str
    labels: dict[str, str]


def alert_rows(states: Iterable[AgentState], over: bool = False) -> tuple[AlertRow, ...]:
    """What fires first, then what is pending, then (`over`) what fired lately; the worst first."""
    found = [
        (state, alert) for state in states for alert in state.alerts if over or alert.phase is not AlertPhase.RESOLVED
    ]
    found.sort(key=lambda one: (_ORDER.index(one[1].phase), _WORST.index(one[1].severity), one[1].since))
    return tuple(_row(state, alert) for state, alert in found)


def _row(state: AgentState, alert: Alert) -> AlertRow:
    ended = alert.past[-1].ended if alert.phase is AlertPhase.RESOLVED and alert.past else None
    rule = state.alerting.rule(alert.rule)
    source = ALERTMANAGER if alert.is_external else (rule.source if rule is not None else "")
    return AlertRow(
        state.key.agent,
        state.key.environment,
        state.key.host,
        alert.rule,
        alert.subject,
        alert.phase,
        alert.severity,
        alert.on_alert.value,
        alert.since,
        alert.fired_at,
        ended,
        alert.because,
        source,
        dict(alert.labels),
    )


def alert_lines(rows: Sequence[AlertRow], now: float) -> tuple[Line, ...]:
    """A table of alerts."""
    head = ("alert", "of", "phase", "severity", "since", "does", "because")
    return table([_cells(row, now) for row in rows], head)


def _cells(row: AlertRow, now: float) -> tuple[Span, ...]:
    whose = f"{row.agent}.{row.environment}" + (f"@{row.host}" if row.host else "")
    since = f"{span_of(max(0.0, now - row.since))} ago"
    if row.ended_at is not None:
        since = f"over {span_of(max(0.0, now - row.ended_at))} ago"
    return (
        Span(row.alert, "bold"),
        Span(row.subject if row.subject.startswith(whose) else f"{whose} {row.subject}".strip()),
        Span(row.phase.value, _TONES[row.phase]),
        Span(row.severity.value, "red" if row.severity is Severity.CRITICAL else ""),
        Span(since),
        Span(row.on_alert),
        Span(first_line(row.because)),
    )


def rule_rows(alerting: Alerting) -> tuple[RuleRow, ...]:
    """The rules in the order of the spec."""
    return tuple(
        RuleRow(
            rule.name,
            rule.source,
            "" if rule.source == ALERTMANAGER else rule.condition,
            rule.for_s,
            rule.consecutive,
            rule.clear,
            rule.keep_firing_s,
            rule.severity,
            rule.on_alert.value,
            dict(rule.labels),
        )
        for rule in alerting.rules
    )


def rule_lines(rows: Sequence[RuleRow]) -> tuple[Line, ...]:
    """A table of rules."""
    head = ("rule", "source", "condition", "for", "in a row", "severity", "does")
    return table([_rule_cells(row) for row in rows], head)


def _rule_cells(row: RuleRow) -> tuple[Span, ...]:
    return (
        Span(row.rule, "bold"),
        Span(row.source),
        Span(row.condition or "as an Alertmanager tells"),
        Span(span_of(row.for_s) if row.for_s else "-"),
        Span(str(row.consecutive)),
        Span(row.severity.value),
        Span(row.on_alert),
    )
