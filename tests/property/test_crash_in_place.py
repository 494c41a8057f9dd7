"""kill -9 of the controller during in_place: never two instances at once, a consistent backup, tasks started once."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.memory import Tidegate, finished, workload
from tests.property.test_crash import POINTS, Assassin, Killed
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model.observation import InstanceState
from tidegate.model.operation import Operation, StartInstance, StartTask
from tidegate.model.rollout import Phase
from tidegate.model.spec import BackedUp, Hook, Hooks, InPlace, Rollback

VERSIONS = {
    "healthy": Behaviour(),
    "fatal": Behaviour(log=("FATAL: no",)),
    "crash-loop": Behaviour(exits_after_s=0.2),
    "never-ready": Behaviour(ready_after_s=None),
}
SWAP = InPlace((BackedUp("data", restore=True),), bake_s=2.0)
HOOKS = Hooks(pre=(Hook("migrate", ("migrate",)),))


class Swapping(Assassin):
    """Watches what only in_place promises."""

    def keeps_promises(self, operation: Operation) -> None:
        super().keeps_promises(operation)
        up = {name for name, c in self.world.containers.items() if c.state is InstanceState.RUNNING}
        match operation:
            case StartInstance(name):
                assert up <= {name}, f"{name} would run beside {up}"
            case StartTask(_, goal) if goal.name.startswith(("backup", "put-back")):
                assert not up, f"{goal.name} while {up} run"


async def swap_with_crashes(path: Path, version: str, points: list[tuple[int, str]], routes: bool) -> None:
    base = workload(1, routes)
    tide = await Tidegate.begin(
        path, VERSIONS, strategy=SWAP, base=base, hooks=HOOKS, rollback=Rollback(ready_deadline_s=3.0)
    )
    await tide.deployed("1.0.0")
    former = tide.world.containers["agent.prod.r1.1"]
    await tide.deploy(version)
    tide.world.on_call = Swapping(tide.world, points)
    for _ in range(len(points) + 1):
        try:
            turn = await tide.play(finished, limit_s=300)
            break
        except Killed:
            await tide.restart()
    state = turn.decision.state
    assert state.rollout is not None
    good = version == "healthy"
    assert state.rollout.phase is (Phase.PROMOTED if good else Phase.ROLLED_BACK)
    assert list(tide.world.containers) == [f"agent.prod.r{2 if good else 1}.1"]
    (left,) = tide.world.containers.values()
    assert left.state is InstanceState.RUNNING
    assert good or left is former
    assert tide.world.jobs == {}
    wanted = ["migrate", "migrate", "measure-r2", "backup-r2"]
    assert tide.world.runs[: len(wanted)] == wanted
    assert tide.world.runs[len(wanted) :] == ([] if good else ["put-back-r2"])
    await tide.state.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(version=st.sampled_from(sorted(VERSIONS)), points=POINTS, routes=st.booleans())
def test_a_killed_controller_ends_a_swap_as_if_nothing_had_happened(
    version: str, points: list[tuple[int, str]], routes: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(swap_with_crashes(Path(folder) / "t.db", version, points, routes))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", range(1, 18))
async def test_every_call_of_a_swap_that_goes_back(tmp_path: Path, call: int, when: str) -> None:
    await swap_with_crashes(tmp_path / "t.db", "never-ready", [(call, when)], routes=False)
