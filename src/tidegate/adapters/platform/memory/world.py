"""A host in memory: images, containers, a gateway, steady traffic, and a clock that moves only when told.

How a version behaves is told by a Behaviour. Everything is deterministic: the same calls give the same world.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tidegate.adapters.platform.memory.requests import Request, revision_of
from tidegate.model.desired import RouteGoal, TaskGoal, reported_name
from tidegate.model.heartbeat import AgentStatus, Heartbeat
from tidegate.model.observation import LATENCY_BOUNDS_MS, InstanceState, Traffic
from tidegate.model.operation import Operation
from tidegate.model.release import AgentKey, Revision


@dataclass(frozen=True)
class Behaviour:
    """How every instance of one version behaves. Times are seconds after its start; None means never.

    It reports every `heartbeat_s` seconds (0: not at all), and no more once `quiet_after_s` have passed. `log` is what
    it writes at its start; `label` what its image's label dev.tidegate.breaking says, `version` what its version label.
    """

    ready_after_s: float | None = 0.3
    exits_after_s: float | None = None
    oom_after_s: float | None = None
    sick_after_s: float | None = None
    fault_after_s: float = 0.0
    error_share: float = 0.0
    latency_ms: float = 20.0
    image: str = "present"
    refused: str = ""
    heartbeat_s: float = 0.0
    quiet_after_s: float | None = None
    failing_after_s: float | None = None
    log: tuple[str, ...] = ()
    label: str = ""
    version: str = ""


@dataclass(frozen=True)
class Deed:
    """How a task turns out: after how many seconds, with which exit code and lines.

    `vanishes`: its container is gone as soon as it was started. `refused`: it cannot be made ready.
    """

    seconds: float = 0.4
    exit_code: int = 0
    log: tuple[str, ...] = ("done",)
    vanishes: bool = False
    refused: str = ""


@dataclass
class Job:
    """One task. It never starts twice."""

    key: AgentKey
    goal: TaskGoal
    started_at: float | None = None
    stopped: bool = False


@dataclass
class Container:
    """One container. `started` counts its incarnations."""

    name: str
    revision: Revision
    key: AgentKey
    address: str
    state: InstanceState = InstanceState.CREATED
    started_at: float = 0.0
    started: int = 0
    restart_count: int = 0
    exit_code: int | None = None
    oom_killed: bool = False
    beats: int = 0


@dataclass
class Count:
    """Requests that one revision got since the world began, with the fractions that are still owed."""

    requests: float = 0.0
    errors: float = 0.0
    latency: list[float] = field(default_factory=lambda: [0.0] * (len(LATENCY_BOUNDS_MS) + 1))

    def traffic(self) -> Traffic:
        """Whole requests only, as a counter has them."""
        return Traffic(int(self.requests), int(self.errors), tuple(int(n) for n in self.latency))


@dataclass
class World:
    """One host. `on_call` is asked before and after every operation; it may raise to model a crash or a lost answer.

    `rates` are requests a second on ports that have their own, such as a preview's.

    `hear` gets every heartbeat but those of the `muted` instances; the `unready` ones fail their readiness probe.
    `deeds` says how tasks turn out, by the name's part before "-r"; `jobs` are the tasks that are there, `runs` the
    names of all that were ever started.
    """

    behaviours: Mapping[str, Behaviour] = field(default_factory=dict)
    requests_per_s: float = 100.0
    rates: dict[int, float] = field(default_factory=dict)
    now: float = 1_000_000.0
    reachable: bool = True
    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    gateway_running: bool = False
    routes: dict[AgentKey, tuple[RouteGoal, ...]] = field(default_factory=dict)
    counts: dict[AgentKey, dict[int, Count]] = field(default_factory=dict)
    lost: float = 0.0
    calls: int = 0
    addresses: int = 1
    on_call: Callable[[str, Operation], None] = lambda when, operation: None
    hear: Callable[[Heartbeat], object] = lambda heartbeat: None
    muted: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    deeds: Mapping[str, Deed] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)

    def behaviour(self, container: Container) -> Behaviour:
        """How this container's version behaves."""
        return self.behaviours.get(container.revision.release.version, Behaviour())

    def labels(self, reference: str) -> tuple[str, str]:
        """What an image's labels say: its version, and whether it breaks. Its tag is the version that behaves."""
        behaviour = self.behaviours.get(reference.rpartition(":")[2], Behaviour())
        return behaviour.version, behaviour.label

    def age(self, container: Container) -> float:
        """Seconds since its last start."""
        return self.now - container.started_at

    def ready(self, container: Container) -> bool:
        """Whether its readiness probe would pass."""
        after = self.behaviour(container).ready_after_s
        running = container.state is InstanceState.RUNNING and container.name not in self.unready
        return running and after is not None and self.age(container) >= after and self.alive(container)

    def alive(self, container: Container) -> bool:
        """Whether its liveness probe would pass."""
        after = self.behaviour(container).sick_after_s
        return after is None or self.age(container) < after

    def advance(self, seconds: float, step: float = 0.1) -> None:
        """Let time pass: containers exit, requests arrive."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            span = min(step, end - self.now)
            self._serve(span)
            self.now += span
            for container in self.containers.values():
                self._age(container)
                self._report(container)

    def start(self, name: str) -> None:
        """Start a container that exists."""
        container = self.containers[name]
        container.state, container.started_at = InstanceState.RUNNING, self.now
        container.started += 1
        container.beats = 0
        container.exit_code, container.oom_killed = None, False

    def _age(self, container: Container) -> None:
        if container.state is not InstanceState.RUNNING:
            return
        behaviour, age = self.behaviour(container), self.age(container)
        oom = behaviour.oom_after_s is not None and age >= behaviour.oom_after_s
        if oom or (behaviour.exits_after_s is not None and age >= behaviour.exits_after_s):
            if container.revision.workload.restart == "no":
                container.state, container.oom_killed = InstanceState.EXITED, oom
                container.exit_code = 137 if oom else 1
                return
            started, count = container.started, container.restart_count
            self.start(container.name)
            container.started, container.restart_count = started + 1, count + 1
            container.exit_code, container.oom_killed = (137, True) if oom else (1, False)

    def _report(self, container: Container) -> None:
        """Send the heartbeat that is due, if any."""
        behaviour, age = self.behaviour(container), self.age(container)
        if not behaviour.heartbeat_s or container.state is not InstanceState.RUNNING:
            return
        quiet = behaviour.quiet_after_s is not None and age >= behaviour.quiet_after_s
        if quiet or age < container.beats * behaviour.heartbeat_s:
            return
        container.beats += 1
        if container.name in self.muted:
            return
        failing = behaviour.failing_after_s is not None and age >= behaviour.failing_after_s
        self.hear(
            Heartbeat(
                container.key.fleet,
                reported_name(container.key, container.name),
                container.revision.runs_as,
                container.revision.release.version,
                AgentStatus.FAILING if failing else AgentStatus.OK,
                container.beats,
                self.now,
                behaviour.heartbeat_s,
                "the queue is full" if failing else "",
            )
        )

    def _serve(self, span: float) -> None:
        by_address = {c.address: c for c in self.containers.values()}
        for key, goals in self.routes.items():
            if not self.gateway_running or not goals:
                continue
            ordinary = [goal for goal in goals if goal.route.listen not in self.rates]
            for goal in goals:
                rate = self.rates.get(goal.route.listen, self.requests_per_s / max(len(ordinary), 1))
                self._serve_route(key, goal, rate * span, by_address)

    def _serve_route(self, key: AgentKey, goal: RouteGoal, share: float, by_address: Mapping[str, Container]) -> None:
        total = sum(b.weight for b in goal.backends if b.endpoints)
        # Clients come once something has answered; before the first release there is nobody to lose.
        if not total and key in self.counts and goal.route.listen not in self.rates:
            self.lost += share
        for backend in goal.backends:
            copied = (
                share * goal.mirror.percent / 100 if goal.mirror and goal.mirror.revision == backend.revision else 0
            )
            for endpoint in backend.endpoints:
                each = share * backend.weight / total if total else 0.0
                if each or copied:
                    container = by_address.get(endpoint.address)
                    self._request(key, backend.revision, container, (each + copied) / len(backend.endpoints))

    def ask(self, key: AgentKey, request: Request = Request(), port: int = 0) -> int | None:  # noqa: B008 - frozen
        """The revision that answers a request on a port (0: any of the agent's); None: nobody does."""
        goals = [goal for goal in self.routes.get(key, ()) if port in (0, goal.route.listen)]
        return revision_of(goals[0], request) if goals and self.gateway_running else None

    def _request(self, key: AgentKey, revision: int, container: Container | None, count: float) -> None:
        counted = self.counts.setdefault(key, {}).setdefault(revision, Count())
        counted.requests += count
        if container is None or container.state is not InstanceState.RUNNING:
            self.lost += count
            counted.errors += count
            return
        behaviour = self.behaviour(container)
        if self.age(container) >= behaviour.fault_after_s:
            counted.errors += count * behaviour.error_share
        bucket = next((i for i, b in enumerate(LATENCY_BOUNDS_MS) if behaviour.latency_ms <= b), -1)
        counted.latency[bucket] += count


def snapshot(world: World) -> dict[str, Container]:
    """Copies of the containers, for tests that compare before and after."""
    return {name: replace(container) for name, container in world.containers.items()}
