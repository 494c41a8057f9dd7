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

from tests.memory import KEY, Tidegate, finished, workload
from tidegate.adapters.platform.memory.world import Behaviour, World
from tidegate.model.observation import InstanceState
from tidegate.model.operation import ApplyRoutes, Operation, RemoveInstance, StopInstance
from tidegate.model.rollout import Phase

VERSIONS = {
    "healthy": Behaviour(),
    "errors": Behaviour(error_share=0.2),
    "crash-loop": Behaviour(exits_after_s=0.2),
    "never-ready": Behaviour(ready_after_s=None),
}
ENDS = {"healthy": Phase.PROMOTED}
POINTS = st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["before", "after"])), min_size=1, max_size=3)


class Killed(BaseException):
    """kill -9: nothing of the controller runs after it."""


class Assassin:
    """Kills the controller at the n-th call, before or after it took effect; watches every call for broken promises."""

    def __init__(self, world: World, points: list[tuple[int, str]]) -> None:
        self.world = world
        self.points = set(points)
        self.first = world.calls

    def __call__(self, when: str, operation: Operation) -> None:
        self.keeps_promises(operation)
        point = (self.world.calls - self.first, when)
        if point in self.points:
            self.points.discard(point)
            raise Killed

    def keeps_promises(self, operation: Operation) -> None:
        by_address = {c.address: c for c in self.world.containers.values()}
        match operation:
            case ApplyRoutes(_, routes, _):
                for goal in routes:
                    assert not goal.backends or sum(b.weight for b in goal.backends) == 100
                    for backend in goal.backends:
                        for endpoint in backend.endpoints:
                            assert by_address[endpoint.address].state is InstanceState.RUNNING
            case StopInstance(name) | RemoveInstance(name) if name in self.world.containers:
                address = self.world.containers[name].address
                for goal in self.world.routes.get(KEY, ()):
                    assert not any(b.weight and e.address == address for b in goal.backends for e in b.endpoints)


async def rollout_with_crashes(path: Path, version: str, points: list[tuple[int, str]], routes: bool = True) -> None:
    tide = await Tidegate.begin(path, VERSIONS, base=workload(replicas=2, routes=routes))
    await tide.deployed("1.0.0")
    await tide.deploy(version)
    tide.world.on_call = Assassin(tide.world, points)
    for _ in range(len(points) + 1):
        try:
            turn = await tide.play(finished, limit_s=300)
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


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(version=st.sampled_from(sorted(VERSIONS)), points=POINTS, routes=st.booleans())
def test_a_killed_controller_converges_to_the_same_end(
    version: str, points: list[tuple[int, str]], routes: bool
) -> None:
    if version == "errors" and not routes:
        routes = True
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(rollout_with_crashes(Path(folder) / "t.db", version, points, routes))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 6))
async def test_the_first_calls_of_a_rollout(tmp_path: Path, call: int, when: str) -> None:
    await rollout_with_crashes(tmp_path / "t.db", "errors", [(call, when)])
