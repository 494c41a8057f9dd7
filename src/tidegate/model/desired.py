"""What should be true: the whole desired state of one agent in one environment."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.release import AgentKey, Image, Revision
from tidegate.model.traffic import Match, Sticky
from tidegate.model.workload import Route, Workload


class Run(StrEnum):
    """Whether an instance should run or be kept stopped (in_place keeps the former one); the same of a task."""

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
    long as that incarnation still runs, so a restart asked for twice happens once. `prepare` lets one that should be
    stopped be made when it is missing, so that it only has to be started later. `log_lines` of a running instance are
    observed though nothing is wrong with it.
    """

    name: str
    revision: Revision
    run: Run = Run.RUNNING
    restart_of: str = ""
    because: str = ""
    prepare: bool = False
    log_lines: int = 0


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
class Call:
    """A web hook: a POST of JSON with what the rollout is about. `url` may hold a token, so it never reaches a log."""

    url: str

    @property
    def shown(self) -> str:
        """Scheme, host and path: what a log may hold."""
        plain = self.url.partition("?")[0].partition("#")[0]
        scheme, slashes, rest = plain.partition("//")
        host, slash, path = rest.partition("/")
        return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True)
class TaskGoal:
    """Run-to-completion work that should be done once for its key: release, environment, name and attempt.

    Run.STOPPED means that it should be ready to start, or that it should be over. What was made ready may be made
    again; what was started never is: when it is gone, its outcome is unknown. `workload` says what runs, in the keys of
    a Compose service; `image` is the release's where it is None. A task with a `call` is a web hook, not a container.
    """

    name: str
    revision: Revision
    workload: Workload
    image: Image | None = None
    attempt: int = 1
    run: Run = Run.STOPPED
    call: Call | None = None
    because: str = ""

    @property
    def runs(self) -> Image:
        """The image that it runs."""
        return self.image or self.revision.release.image


TOOLS = Image("tidegate/tools")
"""An image with a shell, tar, du, df and find, which a platform provides by itself: backups run in it."""


def task_name(key: AgentKey, goal: TaskGoal) -> str:
    """Name of a task's container: its whole key, so that making it is a compare-and-set."""
    return f"{key.agent}.{key.environment}.task.{goal.revision.release.id}.{goal.name}.{goal.attempt}"


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
