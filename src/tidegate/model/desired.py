"""What should be true: the whole desired state of one agent in one environment."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.release import AgentKey, Image, Revision
from tidegate.model.traffic import Match, Sticky
from tidegate.model.workload import Route


class Run(StrEnum):
    """Whether an instance should run or be kept stopped (in_place keeps the former one)."""

    RUNNING = "running"
    STOPPED = "stopped"


def instance_name(key: AgentKey, revision: int, index: int) -> str:
    """Name of an instance. It carries the revision, so that creating it is a compare-and-set."""
    return f"{key.agent}.{key.environment}.r{revision}.{index}"


def reported_name(key: AgentKey, instance: str) -> str:
    """The name under which an instance reports: hosts of a fleet use the same names, so theirs carry the host."""
    return f"{instance}@{key.host}" if key.host else instance


@dataclass(frozen=True)
class InstanceGoal:
    """One instance that should exist.

    `restart_of` is the `started_at` of an incarnation that should be over: the planner restarts the instance exactly as
    long as that incarnation still runs, so a restart asked for twice happens once.
    """

    name: str
    revision: Revision
    run: Run = Run.RUNNING
    restart_of: str = ""
    because: str = ""


@dataclass(frozen=True, order=True)
class Endpoint:
    """Address and port of one instance as the gateway reaches it."""

    address: str
    port: int


@dataclass(frozen=True)
class Backend:
    """One revision's share of a route: a weight in percent and the endpoints that may take it."""

    revision: int
    weight: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Rule:
    """Requests that match everything go to one revision, whatever the weights; 503 when it has no endpoint."""

    name: str
    matches: tuple[Match, ...]
    revision: int


@dataclass(frozen=True)
class Mirror:
    """A share of requests is copied to one revision; its responses are thrown away."""

    revision: int
    percent: int


@dataclass(frozen=True)
class RouteGoal:
    """A route with the backends that should serve it; weights sum to 100 when any endpoint is there.

    `rules` are asked first, in order. `sticky` users are spread by a hash, so that each stays where it is and only new
    ones move when a weight grows; the order of the backends is part of that. TCP knows none of the three.
    """

    route: Route
    backends: tuple[Backend, ...]
    rules: tuple[Rule, ...] = ()
    sticky: Sticky | None = None
    mirror: Mirror | None = None

    @property
    def targets(self) -> frozenset[int]:
        """The revisions that requests of this route may reach at this moment."""
        weighted = {backend.revision for backend in self.backends if backend.weight > 0}
        named = {rule.revision for rule in self.rules} | ({self.mirror.revision} if self.mirror else set())
        return frozenset(weighted | named)


@dataclass(frozen=True)
class TaskGoal:
    """Run-to-completion work that should have been done once for this key (release, environment, name, attempt)."""

    name: str
    revision: Revision
    command: tuple[str, ...]
    attempt: int = 1
    timeout_s: float = 60.0
    because: str = ""


@dataclass(frozen=True)
class Desired:
    """Everything that should be true of one agent in one environment; what is not named here should not exist.

    `surplus_images` are images that we brought onto the host and that nothing needs any more.
    """

    key: AgentKey
    images: tuple[Image, ...] = ()
    instances: tuple[InstanceGoal, ...] = ()
    routes: tuple[RouteGoal, ...] = ()
    tasks: tuple[TaskGoal, ...] = ()
    because: str = ""
    surplus_images: tuple[Image, ...] = ()
