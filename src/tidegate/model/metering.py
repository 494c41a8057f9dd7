"""Where measurements come from beside the gateway: origins by name, what is asked of them, and what they answer."""

from collections.abc import Mapping
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


@dataclass(frozen=True)
class Question:
    """One metric's query. `metric` is the metric's name; what is counted is counted over the latest `interval_s`."""

    metric: str
    query: str
    interval_s: float = 5.0


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
