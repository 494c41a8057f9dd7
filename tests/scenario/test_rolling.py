"""Rolling rollouts told as stories on the memory platform."""

from pathlib import Path

import pytest

from tests.memory import Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.rollout import Phase
from tidegate.model.spec import Rolling

ROLL = Rolling(max_surge="1", max_unavailable="0", min_ready_s=1.0, bake_s=3.0, drain_s=2.0)


@pytest.mark.parametrize(("surge", "unavailable"), [("1", "0"), ("0", "1"), ("50%", "25%"), ("100%", "0")])
@pytest.mark.parametrize("routes", [True, False])
async def test_limits_hold_all_the_way(tmp_path: Path, surge: str, unavailable: str, routes: bool) -> None:
    strategy = Rolling(surge, unavailable, min_ready_s=0.5, bake_s=2.0, drain_s=1.0)
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy, base=workload(4, routes))
    await tide.deployed("1.0.0")
    most = {"1": 5, "0": 4, "50%": 6, "100%": 8}[surge]
    least = {"0": 4, "1": 3, "25%": 3}[unavailable]
    seen: list[tuple[int, int]] = []

    def watch(turn: Turn) -> bool:
        containers = tide.world.containers.values()
        seen.append((len(containers), sum(tide.world.ready(c) for c in containers)))
        return turn.decision.state.rollout is not None and turn.decision.state.rollout.phase.ended and turn.settled

    await tide.deploy("1.1.0")
    turn = await tide.play(watch)
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert max(total for total, _ in seen) <= most
    assert min(ready for _, ready in seen) >= least
    assert sorted(tide.world.containers) == [f"agent.prod.r2.{i}" for i in (1, 2, 3, 4)]
    assert tide.world.lost == 0


async def test_good_to_bad_with_surge_one_and_none_unavailable(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(ready_after_s=None)}, strategy=ROLL)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0


async def test_errors_in_the_middle_bring_stable_back_before_the_traffic(tmp_path: Path) -> None:
    behaviours = {"bad": Behaviour(error_share=0.3, fault_after_s=4.0)}
    tide = await Tidegate.begin(tmp_path / "t.db", behaviours, strategy=ROLL)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0


async def test_abort_half_way(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=ROLL)
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight > 40))
    await tide.ask(intent.Abort())
    turn = await tide.play(in_phase(Phase.ABORTED))
    assert phase_of(turn.decision.state) is Phase.ABORTED
    turn = await tide.play()
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0
