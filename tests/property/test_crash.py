"""kill -9 of the controller before or after any operation: the same end, nothing orphaned, no request lost.

The state is read back from real SQLite bytes by a new controller; "after" models a call that was applied but never
answered. Every crash point of a whole rollout is played in tests/soak.
"""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory import KEY, QUICK, Tidegate, finished, workload
from tidegate.adapters.platform.memory.world import Behaviour, World
from tidegate.model.intent import Undo
from tidegate.model.observation import InstanceState
from tidegate.model.operation import ApplyRoutes, Operation, RemoveInstance, StopInstance
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, BlueGreen, Canary, Rolling, SetMirror, SetRoute, SetWeight, Strategy
from tidegate.model.traffic import Match, MatchOn, Preview, Sticky

pytestmark = pytest.mark.timeout(600)  # a busy machine is slow; only what never ends may fail

VERSIONS = {
    "healthy": Behaviour(),
    "errors": Behaviour(error_share=0.2),
    "crash-loop": Behaviour(exits_after_s=0.2),
    "never-ready": Behaviour(ready_after_s=None),
}
ENDS = {"healthy": Phase.PROMOTED}
PREVIEW = 9090
ROUTED = (SetRoute((Match(MatchOn.HEADER, "yes", "x-test"),)), SetMirror(20), Analyse(2.0), SetWeight(50))
STRATEGIES: dict[str, Strategy] = {
    "canary": QUICK,
    "canary-routed": Canary(ROUTED, Sticky(cookie="lane"), bake_s=3.0, keep_s=2.0, drain_s=3.0),
    "rolling": Rolling(max_surge="1", min_ready_s=0.5, bake_s=3.0, drain_s=2.0),
    "rolling-stop-first": Rolling(max_surge="0", max_unavailable="1", bake_s=3.0, drain_s=2.0),
    "blue-green": BlueGreen(Preview(PREVIEW), analyse_s=2.0, mirror=20, bake_s=3.0, keep_s=2.0, drain_s=2.0),
}
POINTS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["before", "after"])), min_size=1, max_size=3)


class Killed(BaseException):
    """kill -9: nothing of the controller runs after it."""


class Assassin:
    """Kills the controller at the n-th call, before or after it took effect; watches every call for broken promises."""

    def __init__(self, world: World, points: list[tuple[int, str]]) -> None:
        self.world = world
        self.points = set(points)
        self.first = world.calls
        self.calls = 0

    def __call__(self, when: str, operation: Operation) -> None:
        self.keeps_promises(operation)
        self.calls = self.world.calls - self.first
        point = (self.calls, when)
        if point in self.points:
            self.points.discard(point)
            raise Killed

    def keeps_promises(self, operation: Operation) -> None:
        by_name = self.world.containers
        by_address = {c.address: c for c in by_name.values()}
        match operation:
            case ApplyRoutes(_, routes, _):
                for goal in routes:
                    assert not goal.backends or sum(b.weight for b in goal.backends) == 100
                    for backend in goal.backends:
                        for endpoint in backend.endpoints:
                            assert by_address[endpoint.address].state is InstanceState.RUNNING
            case StopInstance(name) | RemoveInstance(name) if self.world.gateway_running and name in by_name:
                address = by_name[name].address
                for goal in self.world.routes.get(KEY, ()):
                    for backend in goal.backends:
                        reached = backend.revision in goal.targets
                        assert not (reached and any(e.address == address for e in backend.endpoints))


async def rollout_with_crashes(
    path: Path, version: str, points: list[tuple[int, str]], routes: bool = True, strategy: str = "canary"
) -> int:
    """Play it, and look at its end. Returns the number of calls that were made."""
    base = workload(replicas=2, routes=routes)
    tide = await Tidegate.begin(path, VERSIONS, base=base, strategy=STRATEGIES[strategy])
    tide.world.rates[PREVIEW] = 5.0
    await tide.deployed("1.0.0")
    await tide.deploy(version)
    assassin = tide.world.on_call = Assassin(tide.world, points)
    for _ in range(len(points) + 1):
        try:
            turn = await tide.play(lambda turn: finished(turn) and not turn.decision.state.retiring, limit_s=300)
            break
        except Killed:
            await tide.restart()
    state = turn.decision.state
    assert state.rollout is not None
    assert state.rollout.phase is ENDS.get(version, Phase.ROLLED_BACK)
    number = 2 if version == "healthy" else 1
    assert sorted(tide.world.containers) == [f"agent.prod.r{number}.{i}" for i in (1, 2)]
    assert all(c.state is InstanceState.RUNNING for c in tide.world.containers.values())
    assert tide.world.lost == 0
    await tide.state.close()
    return assassin.calls


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    version=st.sampled_from(sorted(VERSIONS)),
    points=POINTS,
    routes=st.booleans(),
    strategy=st.sampled_from(sorted(STRATEGIES)),
)
def test_a_killed_controller_converges_to_the_same_end(
    version: str, points: list[tuple[int, str]], routes: bool, strategy: str
) -> None:
    if version == "errors" and not routes:
        routes = True
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(rollout_with_crashes(Path(folder) / "t.db", version, points, routes, strategy))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 6))
async def test_the_first_calls_of_a_rollout(tmp_path: Path, call: int, when: str) -> None:
    await rollout_with_crashes(tmp_path / "t.db", "errors", [(call, when)])


async def undo_with_crashes(path: Path, points: list[tuple[int, str]], keep_s: float) -> None:
    strategy = BlueGreen(bake_s=3.0, keep_s=keep_s, drain_s=1.0)
    tide = await Tidegate.begin(path, VERSIONS, base=workload(replicas=2), strategy=strategy)
    await tide.deployed("1.0.0")
    await tide.deployed("healthy")
    await tide.play(lambda turn: turn.settled, limit_s=10)
    await tide.ask(Undo())
    tide.world.on_call = Assassin(tide.world, points)
    for _ in range(len(points) + 1):
        try:
            turn = await tide.play(finished, limit_s=60)
            break
        except Killed:
            await tide.restart()
    state = turn.decision.state
    assert state.rollout is not None
    assert state.rollout.phase is Phase.PROMOTED
    assert state.stable is not None
    assert state.stable.title == "3 = undo to 1 (1.0.0)"
    serving = {c.revision.release.version for c in tide.world.containers.values() if c.address in _routed(tide.world)}
    assert serving == {"1.0.0"}
    assert tide.world.lost == 0
    await tide.state.close()


def _routed(world: World) -> set[str]:
    [goal] = world.routes[KEY]
    return {e.address for b in goal.backends if b.weight for e in b.endpoints}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("keep_s", "call"), [(60.0, 1), (0.0, 1), (0.0, 3), (0.0, 5)])
async def test_an_undo_killed_half_way(tmp_path: Path, keep_s: float, call: int, when: str) -> None:
    await undo_with_crashes(tmp_path / "t.db", [(call, when)], keep_s)
