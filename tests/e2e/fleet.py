"""A fleet of real engines: each in its own network namespace, reached by TCP with mutual TLS; what wiring does."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.certificates import Authority
from tests.e2e.real import NoSecrets
from tests.engine import Engine as TestEngine
from tests.netns import sh
from tidegate.adapters.gateway.container import Options
from tidegate.adapters.hosts import OpenHost, Way, open_host
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.adapters.platform.docker.supply import Supply
from tidegate.adapters.store.opening import State, open_state
from tidegate.controller.clock import WallClock
from tidegate.controller.controller import Controller
from tidegate.controller.lease import Lease
from tidegate.controller.loop import Ports
from tidegate.model import intent as intents
from tidegate.model.errors import LeaseLostError
from tidegate.model.fleet import FleetState, HostStage
from tidegate.model.release import AgentKey, Image, Release
from tidegate.model.spec import Analysis, Canary, Rollback, Strategy
from tidegate.model.waves import Host, HostTls, Limits, WavePlan, Waves
from tidegate.model.workload import Probe, ProbeKind, Workload

KEY = AgentKey("fleet", "edge")
PORT = 2376
SERVE = ("sh", "-c", "trap 'exit 0' TERM; mkdir -p /www; echo ok > /www/ready; httpd -f -p 8080 -h /www & wait")
READY = Probe(ProbeKind.HTTP, port=8080, path="/ready", period_s=0.2, timeout_s=1.0)
STRAIGHT = Canary(steps=(), bake_s=0.5, drain_s=0.5)
LIMITS = Limits(concurrency="100%", bake_s=0.5, host_deadline_s=90.0)


@dataclass
class Hosts:
    """Engines with their hosts as a spec names them; `source` is the engine that has the images."""

    engines: dict[str, TestEngine]
    hosts: tuple[Host, ...]
    source: TestEngine


@contextmanager
def engines(folder: Path, number: int, small: str = "") -> Iterator[Hosts]:
    """Start `number` engines that listen on TCP with TLS, and one that has the images.

    `small` has a disk of its own, of 96 MB.
    """
    authority = Authority(folder / "tls")
    ours = authority.client("controller")
    started: dict[str, TestEngine] = {}
    source = TestEngine()
    try:
        source.start()
        hosts = []
        for name in (f"e{index}" for index in range(1, number + 1)):
            engine = started[name] = TestEngine()
            theirs = authority.server(engine.address)
            engine.flags = (
                f"--host=tcp://{engine.address}:{PORT}",
                "--tlsverify",
                f"--tlscacert={authority.ca}",
                f"--tlscert={theirs.certificate}",
                f"--tlskey={theirs.key}",
            )
            if name == small:
                data = engine.directory / "data"
                data.mkdir()
                sh("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(data))
            engine.start()
            tls = HostTls(str(authority.ca), str(ours.certificate), str(ours.key))
            hosts.append(Host(name, f"tcp://{engine.address}:{PORT}", {}, tls))
        yield Hosts(started, tuple(hosts), source)
    finally:
        for engine in (*started.values(), source):
            engine.close()


@dataclass
class Fleet:
    """One state, and as many controllers over it as a test starts."""

    hosts: Hosts
    state: State
    image: Image
    folder: Path
    plan: Waves
    strategy: Strategy = STRAIGHT
    running: list["Running"] = field(default_factory=list)

    async def begin(self, name: str = "controller") -> "Running":
        """Start a controller with connections of its own; it waits for the lease."""
        source = Engine(self.hosts.source.url)
        running = Running(self, name, source)
        running.task = asyncio.create_task(running.run())
        self.running.append(running)
        return running

    async def ask(self, action: intents.Action) -> None:
        wanted = intents.Intent(f"i{time.monotonic_ns()}", KEY, action, "tester", time.time())
        await self.state.store.submit(wanted)

    async def deploy(self, version: str, **environment: str) -> None:
        """Ask for a rollout of a version."""
        base = Workload(
            image=self.image.reference,
            command=SERVE,
            environment={"VERSION": version, **environment},
            readiness=READY,
            stop_grace_s=2.0,
        )
        release = Release(f"id-{version}", KEY.agent, version, self.image, base)
        one = intents.Deploy(release, base, self.strategy, Analysis(()), Rollback(ready_deadline_s=20.0))
        await self.ask(intents.DeployFleet(one, self.plan, self.hosts.hosts))

    async def look(self) -> FleetState:
        return await self.state.fleets.load_fleet(KEY) or FleetState(KEY)

    async def until(self, holds: Callable[[FleetState], bool], within_s: float = 90.0) -> FleetState:
        """Wait until a condition holds of the stored state."""
        end = time.monotonic() + within_s
        while True:
            state = await self.look()
            if holds(state):
                return state
            rollout = state.rollout
            stages = {n: (h.stage.value, h.because) for n, h in rollout.hosts.items()} if rollout else {}
            if time.monotonic() > end:
                for _, event in await self.state.journal.events(None, limit=10_000):
                    print(f"{event.at:.2f} {event.key} {event.kind} {event.because.splitlines()[0]}")
                raise AssertionError(f"not within {within_s:g} s: {rollout and rollout.because}: {stages}")
            await asyncio.sleep(0.1)

    async def settles(self, version: str, but: Mapping[str, str] | None = None, within_s: float = 20.0) -> None:
        """Wait until exactly this version runs everywhere, and another where `but` says so."""
        wanted = {name: [(but or {}).get(name, version)] for name in self.hosts.engines}
        end = time.monotonic() + within_s
        while (found := self.versions()) != wanted:
            assert time.monotonic() < end, f"{found} instead of {wanted}"
            await asyncio.sleep(0.1)

    def versions(self) -> dict[str, list[str]]:
        """What runs on each engine, by the engine itself."""
        return {name: running_versions(engine) for name, engine in self.hosts.engines.items()}


@dataclass
class Running:
    """A controller as a process would be: connections of its own; `kill` leaves everything as it is."""

    fleet: Fleet
    name: str
    source: Engine
    task: "asyncio.Task[None] | None" = None
    places: "Places | None" = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    deciding: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        state, clock = self.fleet.state, WallClock()
        lease = await Lease.take(state.lease, clock, self.name, wait_s=60.0)
        self.places = Places(self.fleet, self.source)
        nowhere = self.places.open(self.fleet.hosts.hosts[0])
        shared = Ports(nowhere.platform, nowhere.gateway, state.store, state.journal, clock, places=self.places)
        self.places.shared = shared
        self.deciding.set()
        with suppress(LeaseLostError):
            await Controller(shared, lease).run(self.stop)

    async def end(self) -> None:
        """Stop in good order, and let go of connections."""
        self.stop.set()
        if self.task is not None:
            await self.task
        await self._close()

    async def kill(self) -> None:
        """What kill -9 does: nothing of it runs any more, and the lease is not given back."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task
        await self._close()

    async def _close(self) -> None:
        if self.places is not None:
            await self.places.close()
        await self.source.close()


class Places:
    """controller.loop.Places on test engines."""

    def __init__(self, fleet: Fleet, source: Engine) -> None:
        self.fleets = fleet.state.fleets
        self.shared: Ports | None = None
        self._fleet = fleet
        self._supply = Supply(source)
        self._open: dict[str, OpenHost] = {}

    def open(self, host: Host) -> OpenHost:
        if host.name not in self._open:
            engine = self._fleet.hosts.engines[host.name]
            options = DockerOptions(subnet=engine.subnet(1), supply=self._supply, helper_image=self._helper)
            self._open[host.name] = open_host(host, Way(NoSecrets(), options, Options(image="none")))
        return self._open[host.name]

    async def _helper(self, docker: object) -> str:
        return self._fleet.image.reference

    async def ports(self, key: AgentKey) -> Ports:
        host = next(host for host in self._fleet.hosts.hosts if host.name == key.host)
        found = self.open(host)
        assert self.shared is not None
        return replace(self.shared, platform=found.platform, gateway=found.gateway)

    async def close(self) -> None:
        for found in self._open.values():
            await found.close()


@asynccontextmanager
async def fleet(hosts: Hosts, folder: Path, plan: Waves | None = None) -> AsyncIterator[Fleet]:
    """Everything wired to the engines. The image is on the source only: hosts get it by save and load."""
    reference = hosts.source.load("tidegate/base-busybox")
    digest = str(hosts.source.api("GET", f"/images/{reference}/json")["Id"])
    state = await open_state(str(folder / "tidegate.db"))
    made = Fleet(hosts, state, Image(reference, digest), folder, plan or waves("1"))
    try:
        yield made
    finally:
        for running in made.running:
            if running.task is not None and not running.task.done():
                await running.end()
        await state.close()


def waves(*sizes: str, limits: Limits = LIMITS) -> Waves:
    return Waves(tuple(WavePlan(size=size, limits=limits) for size in sizes), limits=limits)


def running_versions(engine: TestEngine) -> list[str]:
    """Versions of the instances that run, by the engine's own word."""
    found = []
    for container in engine.containers():
        if container["Labels"].get("dev.tidegate.agent") == KEY.agent and container["State"] == "running":
            variables = engine.inspect(container["Id"])["Config"]["Env"]
            found += [one.partition("=")[2] for one in variables if one.startswith("VERSION=")]
    return sorted(found)


def ended(state: FleetState) -> bool:
    return state.rollout is not None and state.active is None


def of_revision(number: int) -> Callable[[FleetState], bool]:
    """The rollout of this revision has ended."""
    return lambda state: ended(state) and state.rollout is not None and state.rollout.candidate.number == number


def in_stage(host: str, stage: HostStage, revision: int | None = None) -> Callable[[FleetState], bool]:
    """One host has reached a stage in the rollout (of a revision)."""

    def holds(state: FleetState) -> bool:
        rollout = state.rollout
        return (
            rollout is not None and revision in (None, rollout.candidate.number) and rollout.hosts[host].stage is stage
        )

    return holds
