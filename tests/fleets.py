"""A whole fleet in memory: many worlds on one clock, a real SQLite store, the fleet's loop and one loop a host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from tests.memory import WATCH, release, workload
from tidegate.adapters.platform.memory.clock import MemoryClock
from tidegate.adapters.platform.memory.platform import MemoryGateway, MemoryPlatform
from tidegate.adapters.platform.memory.tasks import MemoryTasks
from tidegate.adapters.platform.memory.world import Behaviour, World
from tidegate.adapters.store.opening import State, open_state
from tidegate.controller.fleet import FleetLoop, FleetPorts
from tidegate.controller.lease import Lease
from tidegate.controller.loop import AgentLoop, Ports
from tidegate.model import intent as intents
from tidegate.model.event import Event, EventKind
from tidegate.model.fleet import FleetState, HostStage
from tidegate.model.release import AgentKey
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import Canary, Rollback, Strategy
from tidegate.model.waves import Exponential, Host, Limits, WavePlan, Waves
from tidegate.model.workload import Workload

KEY = AgentKey("agent", "prod")
QUICK_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where states of these tests lie: what a slow disk does is told elsewhere, and every turn is saved here."""

TURN_S = 0.25
STRAIGHT = Canary(steps=(), bake_s=2.0, drain_s=1.0)
LIMITS = Limits(concurrency="100%", bake_s=5.0, host_deadline_s=120.0)
_ids = count(1)


def hosts(number: int, **labels: Mapping[str, str]) -> tuple[Host, ...]:
    """h1, h2 ...; `labels` by name."""
    names = [f"h{index}" for index in range(1, number + 1)]
    return tuple(Host(name, labels=labels.get(name, {})) for name in names)


def waves(*sizes: str, limits: Limits = LIMITS) -> Waves:
    """Waves of these sizes."""
    return Waves(tuple(WavePlan(size=size, limits=limits) for size in sizes), Exponential(), limits)


@dataclass
class Fleet:
    """One controller over many worlds; `restart` models kill -9 and a new process."""

    path: Path
    worlds: dict[str, World]
    state: State
    fleet: FleetLoop
    lease: Lease
    plan: Waves
    strategy: Strategy = STRAIGHT
    base: Workload = field(default_factory=lambda: workload(replicas=1))
    loops: dict[str, AgentLoop] = field(default_factory=dict)
    next_sample: float = 0.0
    watch: Callable[["Fleet"], None] = lambda fleet: None

    @classmethod
    async def begin(
        cls,
        path: Path,
        number: int,
        plan: Waves,
        behaviours: Mapping[str, Mapping[str, Behaviour]] | None = None,
        strategy: Strategy = STRAIGHT,
    ) -> "Fleet":
        """Fresh worlds; `behaviours`: host (or "*") -> version -> how it behaves there."""
        told = behaviours or {}
        worlds = {
            host.name: World({**told.get("*", {}), **told.get(host.name, {})}, requests_per_s=20.0)
            for host in hosts(number)
        }
        state, lease = await _open(path, next(iter(worlds.values())))
        loops: dict[str, AgentLoop] = {}
        loop = _fleet_loop(state, lease, next(iter(worlds.values())), loops)
        return cls(path, worlds, state, loop, lease, plan, strategy, loops=loops)

    @property
    def now(self) -> float:
        return next(iter(self.worlds.values())).now

    async def restart(self) -> None:
        """Forget everything that is not in the database; a new controller takes the expired lease."""
        await self.state.close()
        self.advance(11.0)
        self.loops = {}
        self.state, self.lease = await _open(self.path, next(iter(self.worlds.values())))
        self.fleet = _fleet_loop(self.state, self.lease, next(iter(self.worlds.values())), self.loops)

    def advance(self, seconds: float) -> None:
        for world in self.worlds.values():
            world.advance(seconds)

    async def ask(self, action: intents.Action, host: str = "", reason: str = "", by: str = "operator") -> str:
        """Write an intent, to the fleet or to one host."""
        key = KEY.on(host) if host else KEY
        wanted = intents.Intent(f"i{next(_ids)}", key, action, by, self.now, reason)
        await self.state.store.submit(wanted)
        return wanted.id

    async def deploy(
        self, version: str, plan: Waves | None = None, fleet: tuple[Host, ...] = (), reason: str = "", **more: Any
    ) -> str:
        """Ask for a rollout of a version over all hosts; `more` goes into what each host is asked for."""
        one = intents.Deploy(release(version, self.base), self.base, self.strategy, WATCH, Rollback(), **more)
        every = fleet or hosts(len(self.worlds))
        return await self.ask(intents.DeployFleet(one, plan or self.plan, every), reason=reason)

    async def answered(self, intent: str) -> intents.Answer:
        """What became of an intent, after a turn."""
        await self.turn()
        answer = await self.state.store.answer(intent)
        assert answer is not None
        return answer

    async def deployed(self, version: str, limit_s: float = 600.0) -> FleetState:
        """Deploy and run to the end."""
        await self.deploy(version)
        await self.turn()
        return await self.play(ended, limit_s)

    async def turn(self) -> None:
        """One turn of every loop, and a moment of time."""
        decision = await self.fleet.turn()
        known = decision.state.rollout.hosts if decision.state.rollout else {}
        asked = {key.host for key in await self.state.store.asked() if key.host}
        for name in sorted({*asked, *self.loops, *(name for name, host in known.items() if host.asks)}):
            loop = self.loop_of(name)
            if self.now >= self.next_sample:
                await loop.sampler.sample()
            await loop.turn()
        if self.now >= self.next_sample:
            self.next_sample = self.now + 1.0
        self.watch(self)
        self.advance(TURN_S)

    def loop_of(self, name: str) -> AgentLoop:
        """A host's own loop; made when it is first needed."""
        if name in self.loops:
            return self.loops[name]
        world = self.worlds[name]
        platform, store, journal = MemoryPlatform(world), self.state.store, self.state.journal
        ports = Ports(platform, MemoryGateway(world), store, journal, MemoryClock(world), tasks=MemoryTasks(world))
        self.loops[name] = AgentLoop(KEY.on(name), ports, self.lease)
        return self.loops[name]

    async def play(self, until: Callable[[FleetState], bool], limit_s: float = 600.0) -> FleetState:
        """Turn until a condition holds; fails after `limit_s` of the worlds' time."""
        end = self.now + limit_s
        while True:
            await self.turn()
            state = await self.look()
            if until(state):
                return state
            assert self.now < end, f"not within {limit_s:g} s: {state.rollout and state.rollout.because}"

    async def play_for(self, seconds: float) -> FleetState:
        """Turn for a time."""
        end = self.now + seconds
        while self.now < end:
            await self.turn()
        return await self.look()

    async def look(self) -> FleetState:
        return self.fleet.state or FleetState(KEY)

    async def host(self, name: str) -> AgentState:
        """A host's own state."""
        state = await self.state.store.load(KEY.on(name))
        assert state is not None
        return state

    async def versions(self) -> dict[str, str]:
        """What each host runs by its own world: "" for nothing, "a+b" for several."""
        return {
            name: "+".join(sorted({c.revision.release.version for c in world.containers.values()}))
            for name, world in self.worlds.items()
        }

    async def events(self, kind: EventKind | None = None) -> list[Event]:
        """The fleet's log."""
        log = await self.state.journal.events(KEY, limit=100_000)
        return [event for _, event in log if kind in (None, event.kind)]


def _fleet_loop(state: State, lease: Lease, world: World, loops: dict[str, AgentLoop]) -> FleetLoop:
    """As the controller makes it: it knows what the hosts' own loops know."""

    def known(key: AgentKey) -> AgentState | None:
        return loops[key.host].state if key.host in loops else None

    return FleetLoop(KEY, FleetPorts(state.fleets, state.store, MemoryClock(world), known), lease)


async def _open(path: Path, world: World) -> tuple[State, Lease]:
    state = await open_state(str(path))
    lease = await Lease.take(state.lease, MemoryClock(world), f"holder-{next(_ids)}", wait_s=30.0)
    return state, replace(lease, until=float("inf"))


def ended(state: FleetState) -> bool:
    """The rollout has ended."""
    return state.rollout is not None and state.rollout.phase.ended


def in_phase(phase: Phase) -> Callable[[FleetState], bool]:
    """The fleet's rollout stands in a phase."""
    return lambda state: state.rollout is not None and state.rollout.phase is phase


def stages(state: FleetState) -> dict[str, HostStage]:
    """Host -> stage."""
    assert state.rollout is not None
    return {name: host.stage for name, host in state.rollout.hosts.items()}


def in_stage(host: str, stage: HostStage) -> Callable[[FleetState], bool]:
    """One host has reached a stage."""
    return lambda state: state.rollout is not None and state.rollout.hosts[host].stage is stage
