"""Alerts: the rules, what became of each for each instance, and what they do to rollouts. Durations are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.metering import Origin

ALERTMANAGER = "alertmanager"
"""The source of rules that are evaluated elsewhere: what an Alertmanager tells of an alert of that name."""


class Severity(StrEnum):
    """How bad it is, for people. It decides nothing."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class OnAlert(StrEnum):
    """What an alert that fires does, beside being told: hold the rollout, take it back, start a pipeline elsewhere."""

    NOTIFY = "notify"
    PAUSE = "pause"
    ROLLBACK = "rollback"
    PIPELINE = "pipeline"


class Fold(StrEnum):
    """How the values of a window become one. INCREASE: how much a count grew in it, resets tolerated."""

    LAST = "last"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    INCREASE = "increase"


@dataclass(frozen=True)
class AlertRule:
    """When an instance (of the gateway's numbers: a revision) is in trouble. It fires when the fold of `query` over the
    last `over_s` lies above `above` or below `below`, for `for_s` and at `consecutive` looks in a row, `every_s` apart.

    It is over when the value lies at or within `clear` (None: the limit itself) for `keep_firing_s`. What is measured
    is bad at neither limit where there is no data: that neither fires nor ends anything, for a while.
    A rule of the source `alertmanager` has no condition: its `name` is that of an alert evaluated elsewhere.
    """

    name: str
    source: str
    query: str = ""
    above: float | None = None
    below: float | None = None
    clear: float | None = None
    over_s: float = 0.0
    fold: Fold = Fold.MEAN
    for_s: float = 0.0
    consecutive: int = 1
    every_s: float = 0.0
    keep_firing_s: float = 60.0
    severity: Severity = Severity.WARNING
    labels: Mapping[str, str] = field(default_factory=dict)
    on_alert: OnAlert = OnAlert.NOTIFY
    summary: str = ""

    def is_bad(self, value: float) -> bool:
        """Whether the condition holds."""
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)

    def is_clear(self, value: float) -> bool:
        """Whether a firing alert may end: hysteresis, where `clear` is another limit than the one that fires."""
        if self.clear is None:
            return not self.is_bad(value)
        return value <= self.clear if self.above is not None else value >= self.clear

    @property
    def condition(self) -> str:
        """The condition for a person: mean of cpu_share over 60 s > 0.85."""
        what = f"{self.fold} of {self.query} over {self.over_s:g} s" if self.over_s else self.query
        return f"{what} > {self.above:g}" if self.above is not None else f"{what} < {self.below or 0.0:g}"


@dataclass(frozen=True)
class Alerting:
    """The rules of an environment. `origins` are the metric sources that were declared; an alert takes a release back
    up to `within_s` after its promotion."""

    rules: tuple[AlertRule, ...] = ()
    origins: tuple[Origin, ...] = ()
    within_s: float = 1800.0

    def rule(self, name: str) -> AlertRule | None:
        """The rule of that name."""
        return next((rule for rule in self.rules if rule.name == name), None)


NO_ALERTS = Alerting()


@dataclass(frozen=True)
class Signal:
    """What a rule looks at as of now: its fold over its window, of one subject, which belongs to a revision."""

    value: float
    revision: int


class AlertPhase(StrEnum):
    """PENDING: the condition holds, not yet for long enough. RESOLVED: it fired, and is remembered for a while."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Episode:
    """One time that an alert fired: since when its condition held, and when it was over (unix seconds)."""

    since: float
    ended: float


@dataclass(frozen=True)
class Alert:
    """One rule's state for one subject: an instance, a revision (`r3`), or all of the agent (empty). Unix seconds.

    `since` is when the condition began to hold, `held_since` since when that has been watched without a break,
    `fired_at` when it had held for long enough, `count` at how many looks in a row it did, the latest at `looked_at`.
    `good_since` is when it ceased to hold, `unknown_since` when data ended. `past` are earlier episodes, oldest first.
    `acted`: what it does to a rollout, it did. `fingerprint` is an Alertmanager's; empty for what was evaluated here.
    """

    rule: str
    subject: str
    phase: AlertPhase
    since: float
    because: str
    severity: Severity = Severity.WARNING
    on_alert: OnAlert = OnAlert.NOTIFY
    revision: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    fired_at: float | None = None
    count: int = 1
    looked_at: float = 0.0
    held_since: float = 0.0
    good_since: float | None = None
    unknown_since: float | None = None
    past: tuple[Episode, ...] = ()
    acted: bool = False
    fingerprint: str = ""

    @property
    def title(self) -> str:
        """Rule and subject for a person."""
        return f"{self.rule} of {self.subject}" if self.subject else self.rule

    @property
    def is_external(self) -> bool:
        """Whether it was evaluated elsewhere."""
        return bool(self.fingerprint)


def signal_name(rule: str, subject: str) -> str:
    """The name under which a block holds what was measured of one subject for a rule."""
    return f"alert/{rule}/{subject}"


def named_signal(name: str) -> tuple[str, str] | None:
    """Rule and subject of a name in a block; None for what is not an alert's."""
    kind, _, rest = name.partition("/")
    rule, _, subject = rest.partition("/")
    return (rule, subject) if kind == "alert" and subject else None


SHIPPED = (
    AlertRule(
        "heartbeat_missed", "heartbeat", "silence_s", above=30.0, fold=Fold.LAST, consecutive=2, every_s=30.0,
        keep_firing_s=0.0, severity=Severity.CRITICAL, summary="no heartbeat",
    ),
    AlertRule(
        "cpu_high", "stats", "cpu_share", above=0.85, clear=0.75, over_s=60.0, for_s=300.0, summary="CPU near its limit"
    ),
    AlertRule(
        "latency_high", "gateway", "latency_mean", above=500.0, clear=400.0, over_s=300.0, for_s=180.0,
        severity=Severity.CRITICAL, summary="slow answers",
    ),
    AlertRule(
        "memory_high", "stats", "memory_share", above=0.9, clear=0.85, over_s=60.0, for_s=120.0,
        summary="memory near its limit",
    ),
    AlertRule(
        "restarts", "stats", "restarts", above=2.0, over_s=600.0, fold=Fold.INCREASE, severity=Severity.CRITICAL,
        summary="restarts again and again",
    ),
    AlertRule(
        "task_delay", "scrape", "max(agent_task_delay_seconds)", above=60.0, clear=30.0, over_s=60.0, for_s=300.0,
        summary="tasks begin late",
    ),
    AlertRule(
        "log_errors", "logs", "level>=error", above=1.0, clear=0.5, over_s=60.0, for_s=120.0,
        summary="errors in the log, lines a second",
    ),
)  # fmt: skip
"""What is watched where a spec says `alerts`; `task_delay` only where it speaks of agents' own /metrics."""
