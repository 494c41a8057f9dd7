"""Any fault on any host, a controller killed at any save: a fleet's rollout ends, and what it promised holds.

- No more hosts of a wave roll at once than its concurrency; no wave begins before the one before it proved something.
- After the end every host that can be reached runs what is current, or says why not; none runs two versions.
- Whoever was away is led to what is current, without what was current meanwhile.
- No intent is given twice, whenever the controller is killed.
"""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fleets import KEY, LIMITS, QUICK_DISK, Fleet, ended, waves
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model.fleet import FleetState, HostStage
from tidegate.model.observation import InstanceState
from tidegate.model.rollout import Phase

NUMBER = 3
FAULTS = {
    "healthy": Behaviour(),
    "never-ready": Behaviour(ready_after_s=None),
    "crash-loop": Behaviour(exits_after_s=0.4),
    "slow": Behaviour(ready_after_s=12.0),
    "refused": Behaviour(refused="no space left on device"),
}
TIGHT = replace(LIMITS, bake_s=2.0, host_deadline_s=30.0, concurrency="2")
hosts = st.sampled_from([f"h{n}" for n in range(1, NUMBER + 1)])


@dataclass(frozen=True)
class Story:
    """What happens to a rollout. `cuts`: (host, from second, for seconds); `kills`: at which saves."""

    faults: dict[str, str]
    cuts: list[tuple[str, int, int]]
    kills: list[int]
    sizes: tuple[str, ...]
    share: float


STORIES = st.builds(
    Story,
    faults=st.dictionaries(hosts, st.sampled_from(sorted(FAULTS)), max_size=2),
    cuts=st.lists(st.tuples(hosts, st.integers(0, 10), st.integers(1, 30)), max_size=3),
    kills=st.lists(st.integers(1, 25), max_size=2, unique=True),
    sizes=st.sampled_from([("1",), ("1", "2"), ("50%",), ("100%",)]),
    share=st.sampled_from([0.0, 60.0]),
)


class Killed(BaseException):
    """kill -9: nothing of the controller runs after it."""


@dataclass
class Assassin:
    """Kills the controller before or after the n-th save of anybody's decision."""

    points: set[int]
    saves: int = 0
    seen: set[str] = field(default_factory=set)

    def guard(self, fleet: Fleet) -> None:
        """Stand between the loops and the store."""
        store, fleets = fleet.state.store, fleet.state.fleets
        self._wrap(store, "save")
        self._wrap(fleets, "save_fleet")

    def _wrap(self, owner: Any, name: str) -> None:
        save: Callable[..., Any] = getattr(owner, name)

        async def saving(decision: Any, epoch: int) -> None:
            self.saves += 1
            due = self.saves in self.points
            self.points.discard(self.saves)
            if due and self.saves % 2:
                raise Killed
            await save(decision, epoch)
            given = {intent.id for intent in getattr(decision, "intents", ())}
            assert not given & self.seen, f"given twice: {given & self.seen}"
            self.seen |= given
            if due:
                raise Killed

        setattr(owner, name, saving)


def keeps_promises(fleet: Fleet) -> None:
    """What must hold after every turn."""
    state = fleet.fleet.state
    if state is None or state.rollout is None or state.rollout.candidate.number == 1:
        return
    rollout = state.rollout
    for world in fleet.worlds.values():
        for goals in world.routes.values():
            assert all(sum(b.weight for b in goal.backends) in (0, 100) for goal in goals)
    if rollout.phase in (Phase.PROGRESSING, Phase.BAKING):
        later = [host for host in rollout.hosts.values() if host.wave > rollout.wave]
        assert all(not host.asks for host in later), "a later wave was begun"


async def play_story(path: Path, story: Story) -> None:
    limits = replace(TIGHT, failed_share=story.share)
    behaviours = {host: {"2.0.0": FAULTS[name]} for host, name in story.faults.items()}
    fleet = await Fleet.begin(path, NUMBER, waves(*story.sizes, limits=limits), behaviours)
    await fleet.deployed("1.0.0")
    assassin = Assassin(set(story.kills))
    assassin.guard(fleet)
    fleet.watch = keeps_promises
    await fleet.deploy("2.0.0")
    began = fleet.now
    story_ends = max((at + long for _, at, long in story.cuts), default=0)

    async def turn_safely() -> None:
        after = fleet.now - began
        for name, world in fleet.worlds.items():
            world.reachable = not any(host == name and at <= after < at + long for host, at, long in story.cuts)
        try:
            await fleet.turn()
        except Killed:
            await fleet.restart()
            assassin.guard(fleet)

    async def until(holds: Callable[[FleetState], bool], limit_s: float) -> FleetState:
        end = fleet.now + limit_s
        while True:
            await turn_safely()
            state = await fleet.state.fleets.load_fleet(KEY) or FleetState(KEY)
            if holds(state) and fleet.now - began > story_ends:
                return state
            assert fleet.now < end, f"{state.rollout and state.rollout.because}"

    def over(state: FleetState) -> bool:
        assert state.rollout is not None
        calm = all(host.stage.settled or not host.asks for host in state.rollout.hosts.values())
        away = any(host.stage is HostStage.UNREACHABLE for host in state.rollout.hosts.values())
        return state.rollout.candidate.number == 2 and ended(state) and calm and not away

    state = await until(over, 400.0)
    for _ in range(12):
        await turn_safely()
    assert state.rollout is not None
    assert state.stable is not None
    current = state.stable.release.version
    versions = await fleet.versions()
    for name, host in state.rollout.hosts.items():
        if host.stage is HostStage.FAILED:
            assert host.because
            assert versions[name] == "1.0.0", f"{name}: {versions[name]}"
        else:
            assert versions[name] == current, f"{name}: {versions[name]} and not {current}: {host}"
        assert all(c.state is InstanceState.RUNNING for c in fleet.worlds[name].containers.values())
    if state.rollout.phase is Phase.PROMOTED:
        proven = {host.wave for host in state.rollout.hosts.values() if host.stage is HostStage.DONE}
        assert proven, "promoted with nothing proven"
    else:
        assert any(name != "healthy" for name in story.faults.values()), "went back with no host at fault"
    await fleet.state.close()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(story=STORIES)
def test_a_fleet_keeps_its_promises_whatever_happens(story: Story) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        asyncio.run(play_story(Path(folder) / "t.db", story))


@pytest.mark.parametrize("kill", [1, 2, 5])
def test_a_controller_killed_early_begins_nothing_twice(kill: int) -> None:
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        asyncio.run(play_story(Path(folder) / "t.db", Story({"h3": "never-ready"}, [], [kill], ("1",), 0.0)))
