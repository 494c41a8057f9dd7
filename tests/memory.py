"""A whole Tidegate in memory for scenario and property tests: a world, a real SQLite store, one loop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from tidegate.adapters.platform.memory.clock import MemoryClock
from tidegate.adapters.platform.memory.platform import MemoryGateway, MemoryPlatform
from tidegate.adapters.platform.memory.tasks import MemoryTasks
from tidegate.adapters.platform.memory.world import Behaviour, World
from tidegate.adapters.store.opening import State, open_state
from tidegate.control.centre import Centre
from tidegate.control.registry import Registry
from tidegate.controller.lease import Lease
from tidegate.controller.loop import AgentLoop, Ports, Turn
from tidegate.controller.rehearsal import play
from tidegate.model import intent as intents
from tidegate.model.event import Event
from tidegate.model.policy import Policy
from tidegate.model.release import AgentKey, Image, Release
from tidegate.model.rollout import AgentState, Phase
from tidegate.model.spec import (
    NO_HOOKS,
    Analyse,
    Analysis,
    Canary,
    Hooks,
    Rollback,
    SetWeight,
    Strategy,
    ThresholdMetric,
)
from tidegate.model.workload import Route, Workload

KEY = AgentKey("agent", "prod")
QUICK = Canary(steps=(SetWeight(10), Analyse(5.0), SetWeight(50), Analyse(5.0)), bake_s=5.0, drain_s=5.0)
WATCH = Analysis(
    (ThresholdMetric("errors", failure_condition="result > 0.02", failure_limit=1, interval_s=1.0),), sequential=None
)
_ids = count(1)


def workload(replicas: int = 3, routes: bool = True, **more: object) -> Workload:
    """A workload with one HTTP route."""
    return Workload(replicas=replicas, routes=(Route(8080, 80),) if routes else (), **more)  # type: ignore[arg-type]


def release(version: str, base: Workload) -> Release:
    """A release of a version."""
    return Release(f"id-{version}", KEY.agent, version, Image(f"agent:{version}"), base)


@dataclass
class Tidegate:
    """One controller over a world and a database file; `restart` models kill -9 and a new process."""

    path: Path
    world: World
    state: State
    loop: AgentLoop
    clock: MemoryClock
    centre: Centre
    base: Workload = field(default_factory=workload)
    strategy: Strategy = QUICK
    hooks: Hooks = NO_HOOKS
    analysis: Analysis = WATCH
    rollback: Rollback = field(default_factory=Rollback)
    policy: Policy = field(default_factory=Policy)

    @classmethod
    async def begin(cls, path: Path, behaviours: dict[str, Behaviour] | None = None, **more: object) -> "Tidegate":
        """A fresh world and store."""
        world = World(behaviours or {})
        state, loop, clock, centre = await _controller(path, world)
        return cls(path, world, state, loop, clock, centre, **more)  # type: ignore[arg-type]

    async def restart(self) -> None:
        """Forget everything that is not in the database; a new controller takes the expired lease."""
        await self.state.close()
        self.world.hear = lambda heartbeat: None  # nobody hears while there is no controller
        self.world.jobs = {name: job for name, job in self.world.jobs.items() if job.goal.call is None}
        self.world.advance(11.0)
        self.state, self.loop, self.clock, self.centre = await _controller(self.path, self.world)

    async def ask(self, action: intents.Action, by: str = "operator", reason: str = "") -> str:
        """Write an intent."""
        wanted = intents.Intent(f"i{next(_ids)}", KEY, action, by, self.world.now, reason)
        await self.state.store.submit(wanted)
        return wanted.id

    async def deploy(
        self, version: str, base: Workload | None = None, by: str = "operator", reason: str = "", **more: Any
    ) -> str:
        """Ask for a rollout of a version; `more` goes into the intent."""
        base = base or self.base
        plan = (self.strategy, self.analysis, self.rollback, self.policy)
        more = {"hooks": self.hooks, **more}
        return await self.ask(intents.Deploy(release(version, base), base, *plan, **more), by, reason)

    async def answer(self, intent: str) -> intents.Answer:
        """What became of an intent, after a turn."""
        await self.loop.turn()
        answer = await self.state.store.answer(intent)
        assert answer is not None
        return answer

    async def play(self, until: Callable[[Turn], bool] | None = None, limit_s: float = 600.0) -> Turn:
        """Run until a condition (by default: the rollout ended and nothing is left to do)."""
        return await play(self.loop, self.clock, until or finished, limit_s)

    async def deployed(self, version: str) -> Turn:
        """Deploy and run to the end."""
        await self.deploy(version)
        return await self.play()

    async def events(self) -> list[Event]:
        """The whole log."""
        return [event for _, event in await self.state.journal.events(KEY)]


async def _controller(path: Path, world: World) -> tuple[State, AgentLoop, MemoryClock, Centre]:
    state, clock = await open_state(str(path)), MemoryClock(world)
    lease = await Lease.take(state.lease, clock, f"holder-{next(_ids)}", wait_s=30.0)
    lease.until = float("inf")
    centre = await _centre(state, world)
    ports = Ports(MemoryPlatform(world), MemoryGateway(world), state.store, state.journal, clock, centre)
    ports = replace(ports, switches=state.switches, tasks=MemoryTasks(world))
    return state, AgentLoop(KEY, ports, lease), clock, centre


async def _centre(state: State, world: World) -> Centre:
    """A control centre that hears the world from now on, as a controller's does once it listens."""
    registry = Registry(state.pulses, MemoryClock(world))
    await registry.load()
    registry.open()
    world.hear = registry.hear
    return Centre(registry, _nobody)


async def _nobody(registry: Registry, stop: asyncio.Event) -> None:
    """The world calls the registry itself."""


def finished(turn: Turn) -> bool:
    """The rollout has ended, the retired are gone and nothing is left to do."""
    state = turn.decision.state
    return state.rollout is not None and state.rollout.phase.ended and turn.settled


def in_phase(*phases: Phase) -> Callable[[Turn], bool]:
    """A condition for play: the rollout stands in one of the phases."""
    return lambda turn: turn.decision.state.rollout is not None and turn.decision.state.rollout.phase in phases


def phase_of(state: AgentState) -> Phase | None:
    """The phase of the last rollout."""
    return state.rollout.phase if state.rollout else None
