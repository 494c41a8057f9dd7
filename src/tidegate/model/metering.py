"""Where measurements come from beside the gateway: origins by name, what is asked of them, and what they answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.observation import ObservedInstance
from tidegate.model.release import AgentKey
from tidegate.model.workload import SecretRef

GATEWAY = "gateway"


class OriginKind(StrEnum):
    """What can measure: the engine's stats and logs, the agents' own /metrics and heartbeats, a Prometheus, a file."""

    STATS = "stats"
    LOGS = "logs"
    SCRAPE = "scrape"
    HEARTBEAT = "heartbeat"
    PROMETHEUS = "prometheus"
    FILE = "file"


NEEDS_SETTINGS = frozenset({OriginKind.PROMETHEUS, OriginKind.FILE})
"""Kinds that say nothing without an address or a path; all others may be named without being declared."""


class Reduce(StrEnum):
    """How the points of a range become one value."""

    LAST = "last"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True)
class Origin:
    """One metric source by name. Credentials are references. Durations are seconds.

    It is asked every `period_s`, and must answer within `timeout_s`; what is older than `max_age_s` says nothing.
    `range_s` 0 asks a Prometheus for an instant, else for that range, of which `reduce` makes one value. `port` 0 is
    the agent's first port. `file` is read again when it changes.
    """

    name: str
    kind: OriginKind
    url: str = ""
    user: str = ""
    password: SecretRef | None = None
    token: SecretRef | None = None
    port: int = 0
    path: str = "/metrics"
    file: str = ""
    period_s: float = 1.0
    timeout_s: float = 3.0
    max_age_s: float = 30.0
    range_s: float = 0.0
    reduce: Reduce = Reduce.MEAN


class Form(StrEnum):
    """What is asked of a query. VALUE: one number as of now; what is counted becomes a rate.

    The others are for evidence. COUNT: all events since the source began to look, which only grows; whatever one
    instance's restart takes away is not taken away here. MEAN: the mean over a revision's instances. HISTOGRAM: the
    events up to each bound (`bucket`), counted as in COUNT.
    """

    VALUE = "value"
    COUNT = "count"
    MEAN = "mean"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Question:
    """One metric's query. `metric` is the metric's name; a rate is taken over the latest `interval_s`.

    `per` is the query of what a COUNT is counted against, answered as `exposure_of(metric)`.
    """

    metric: str
    query: str
    interval_s: float = 5.0
    form: Form = Form.VALUE
    per: str = ""


def exposure_of(metric: str) -> str:
    """The name under which a reading holds what a metric's events are counted against."""
    return f"{metric}/per"


def bucket_of(metric: str, bound: float) -> str:
    """The name under which a reading holds how many of a metric's events lie at or below a bound."""
    return f"{metric}/le/{bound:g}"


def buckets_in(names: Iterable[str], metric: str) -> tuple[tuple[float, str], ...]:
    """The bounds that a reading has of a metric, rising, each with its name."""
    start = f"{metric}/le/"
    return tuple(sorted((float(name[len(start) :]), name) for name in names if name.startswith(start)))


@dataclass(frozen=True)
class Subject:
    """Whom the questions are about: the revisions of one agent in one environment, with their instances.

    `port` is where the agent listens, as far as its workload tells (0: it does not).
    """

    key: AgentKey
    revisions: tuple[int, ...]
    instances: tuple[ObservedInstance, ...] = ()
    port: int = 0

    def of_revision(self, number: int) -> tuple[ObservedInstance, ...]:
        """The instances of one revision."""
        return tuple(instance for instance in self.instances if instance.revision == number)


@dataclass(frozen=True)
class Reading:
    """One answer: metric -> revision -> value, and why single metrics have none. A value is never NaN."""

    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
