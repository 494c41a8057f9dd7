"""What was seen: instances, images, the gateway, tasks, traffic. Facts only; nothing here is a judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tidegate.model.desired import Endpoint, RouteGoal
from tidegate.model.heartbeat import AgentStatus


class InstanceState(StrEnum):
    """State of a container, in the engine's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    DEAD = "dead"


@dataclass(frozen=True)
class ObservedHeartbeat:
    """What an instance reported in its present incarnation: last heard at `at` (unix seconds, our clock).

    `age_s` is its silence in seconds, counted only while somebody listened.
    """

    at: float
    age_s: float
    interval_s: float
    status: AgentStatus = AgentStatus.OK
    message: str = ""
    version: str = ""


@dataclass(frozen=True)
class ObservedInstance:
    """One container. `ready` and `live` are None while no probe has answered yet; `started_at` is the engine's text.

    `heartbeat` is None unless this incarnation has reported and somebody listens.
    `stop_grace_s` is the grace that the container was made with: what is surplus has no goal to read it from.
    `detached` says that somebody took it off our network, which it was made on: nobody can reach it any more.
    """

    name: str
    revision: int
    state: InstanceState
    id: str = ""
    address: str = ""
    started_at: str = ""
    ready: bool | None = None
    live: bool | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    restart_count: int = 0
    config_digest: str = ""
    last_log: tuple[str, ...] = ()
    probe_detail: str = ""
    heartbeat: ObservedHeartbeat | None = None
    adopted: bool = False
    stop_grace_s: float = 10.0
    detached: bool = False


class ImageState(StrEnum):
    """Whether an image is on the host. ABSENT is said only of those that should go."""

    PRESENT = "present"
    PULLING = "pulling"
    FAILED = "failed"
    ABSENT = "absent"


@dataclass(frozen=True)
class ObservedImage:
    """An image that somebody asked for. `detail` says why it failed, or how far a pull is.

    `version` and `breaking` are what its labels say (org.opencontainers.image.version, dev.tidegate.breaking).
    """

    reference: str
    state: ImageState
    config_digest: str = ""
    detail: str = ""
    version: str = ""
    breaking: str = ""


@dataclass(frozen=True)
class ObservedGateway:
    """The gateway of the host, as far as it concerns one agent.

    `routes` is what the gateway applied (not what was written); `active` counts requests in flight by revision.
    """

    running: bool = False
    routes: tuple[RouteGoal, ...] = ()
    active: Mapping[int, int] = field(default_factory=dict)
    detail: str = ""

    def endpoints(self, revision: int) -> frozenset[Endpoint]:
        """The endpoints of a revision that the gateway may send requests to at this moment."""
        return frozenset(
            endpoint
            for goal in self.routes
            for backend in goal.backends
            if backend.revision == revision and revision in goal.targets
            for endpoint in backend.endpoints
        )


class TaskState(StrEnum):
    """State of run-to-completion work; UNKNOWN is inconclusive and repeated only where declared repeatable."""

    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ObservedTask:
    """A task that is ready, runs or ended. `id` is that of its container, which has the name `container`."""

    name: str
    release: str
    attempt: int
    state: TaskState
    container: str = ""
    id: str = ""
    exit_code: int | None = None
    last_log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observation:
    """All facts about one agent in one environment. `at` is unix seconds.

    `reachable` False means that the engine did not answer: everything else is then empty and says nothing.
    """

    at: float
    reachable: bool = True
    detail: str = ""
    images: tuple[ObservedImage, ...] = ()
    instances: tuple[ObservedInstance, ...] = ()
    gateway: ObservedGateway = ObservedGateway()
    tasks: tuple[ObservedTask, ...] = ()

    def of_revision(self, number: int) -> tuple[ObservedInstance, ...]:
        """The instances of one revision, by name."""
        return tuple(instance for instance in self.instances if instance.revision == number)


LATENCY_BOUNDS_MS: tuple[float, ...] = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
"""Upper bounds of the latency buckets in milliseconds: Envoy's defaults. One more bucket catches the rest."""


@dataclass(frozen=True)
class Traffic:
    """What one revision's requests did within one block. `latency` counts requests by LATENCY_BOUNDS_MS bucket."""

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = ()

    def plus(self, other: "Traffic") -> "Traffic":
        """Both together."""
        latency = tuple(a + b for a, b in _aligned(self.latency, other.latency))
        return Traffic(self.requests + other.requests, self.errors + other.errors, latency)

    def since(self, before: "Traffic") -> "Traffic":
        """What happened between two readings of cumulative counters: this one and an earlier one.

        A counter lower than before was reset (its gateway restarted, or dropped and regained a cluster): its new
        value is then all that is known to have happened. One counter's reset is taken as the reset of all: they begin
        together. Source: Prometheus' increase(), https://prometheus.io/docs/prometheus/latest/querying/functions/
        """
        pairs = _aligned(before.latency, self.latency)
        if self.requests < before.requests or self.errors < before.errors or any(new < old for old, new in pairs):
            return self
        latency = tuple(new - old for old, new in pairs)
        return Traffic(self.requests - before.requests, self.errors - before.errors, latency)


def _aligned(one: tuple[int, ...], two: tuple[int, ...]) -> list[tuple[int, int]]:
    size = max(len(one), len(two))
    return list(zip(one + (0,) * (size - len(one)), two + (0,) * (size - len(two)), strict=True))


@dataclass(frozen=True)
class Block:
    """What was measured in one second (or one gap, with its duration), ending at `at` (unix seconds).

    `traffic` and `values` are by revision; `values` holds other sources' metrics by name. `missing` names sources that
    did not answer, or `source/metric` where only one metric has no data, with the reason: no data is inconclusive.
    """

    at: float
    duration_s: float
    traffic: Mapping[int, Traffic] = field(default_factory=dict)
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
