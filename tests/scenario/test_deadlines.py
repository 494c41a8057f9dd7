"""What is waited for, how long, and what a clock that jumps does to it, told as stories on the memory platform."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import QUICK, WATCH, Tidegate, in_phase, phase_of
from tidegate.adapters.platform.memory.world import World
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.observation import InstanceState
from tidegate.model.rollout import Phase, Rollout
from tidegate.model.spec import Analyse, Analysis, Canary, Pause, Rolling, SetWeight, ThresholdMetric

ROLL = Rolling("1", "0", min_ready_s=1.0, bake_s=3.0, drain_s=2.0, progress_deadline_s=15.0)
SECOND = [f"agent.prod.r2.{index}" for index in (1, 2, 3)]


async def to_the_end(tide: Tidegate, version: str = "1.1.0", limit_s: float = 300.0) -> Rollout:
    await tide.deploy(version)
    rollout = (await tide.play(limit_s=limit_s)).decision.state.rollout
    assert rollout is not None
    return rollout


async def test_no_progress_within_the_deadline_goes_back_by_itself(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=ROLL)
    await tide.deployed("1.0.0")
    tide.world.unready = {SECOND[1]}
    rollout = await to_the_end(tide)
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.fault == "no progress within 15 s: 1 of 3 instances replaced"
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{index}" for index in (1, 2, 3)]
    assert tide.world.lost == 0


@pytest.mark.parametrize(
    "strategy",
    [
        replace(ROLL, min_ready_s=7.0),
        replace(QUICK, progress_deadline_s=15.0, steps=(SetWeight(10), Analyse(40.0), Pause(20.0), SetWeight(50))),
    ],
    ids=["rolling", "canary"],
)
async def test_whoever_makes_progress_or_watches_may_take_longer(tmp_path: Path, strategy: Rolling | Canary) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy)
    await tide.deployed("1.0.0")
    rollout = await to_the_end(tide)
    assert rollout.phase is Phase.PROMOTED
    assert rollout.ended_at is not None
    assert rollout.ended_at - rollout.started_at > 20.0


async def test_a_measurement_that_is_not_finished_at_promotion_is_inconclusive(tmp_path: Path) -> None:
    slow = ThresholdMetric("slow", failure_condition="result > 0.02", interval_s=120.0)
    analysis = Analysis((*WATCH.metrics, slow), sequential=None)
    tide = await Tidegate.begin(tmp_path / "t.db", analysis=analysis, strategy=Canary((SetWeight(50),), bake_s=5.0))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED), limit_s=60)
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.PAUSED
    assert "inconclusive after baking for 5 s: slow" in rollout.because


def no_weight(turn: Turn) -> bool:
    rollout = turn.decision.state.rollout
    return rollout is not None and not rollout.weight


async def test_abort_holds_the_weight_until_stable_is_ready(tmp_path: Path) -> None:
    strategy = Canary((SetWeight(50), Pause()), bake_s=5.0)
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy)
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    tide.world.unready = {f"agent.prod.r1.{index}" for index in (1, 2, 3)}
    await tide.ask(intent.Abort(), reason="looks odd")
    rollout = (await tide.play(limit_s=10)).decision.state.rollout
    assert rollout is not None
    assert (rollout.phase, rollout.weight) == (Phase.REVERTING, 50)
    assert rollout.because == "stable is not ready: the traffic stays where it is until it is"
    tide.world.unready = {"agent.prod.r1.2", "agent.prod.r1.3"}
    turn = await tide.play(no_weight)
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.REVERTING
    tide.world.unready = set()
    assert phase_of((await tide.play()).decision.state) is Phase.ABORTED
    assert tide.world.lost == 0


def jump(world: World, seconds: float) -> None:
    """Only the wall's clock moves: what runs gets no older by it."""
    world.now += seconds
    for container in world.containers.values():
        container.started_at += seconds


@pytest.mark.parametrize("at", [Phase.PROGRESSING, Phase.PAUSED, Phase.BAKING])
async def test_a_clock_that_is_set_back_makes_no_wait_longer(tmp_path: Path, at: Phase) -> None:
    steps = (SetWeight(10), Analyse(5.0), Pause(5.0), SetWeight(50))
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(QUICK, steps=steps))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(at))
    jump(tide.world, -7200.0)
    began = tide.world.now
    turn = await tide.play(limit_s=120)
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.now - began < 60
    assert tide.world.lost == 0


async def test_a_clock_that_is_set_back_does_not_lengthen_back_off_nor_warmth(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(QUICK, keep_s=20.0))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROMOTED))
    sick = tide.world.containers[SECOND[0]]
    for _ in range(3):
        sick.state, sick.exit_code = InstanceState.EXITED, 1
        await tide.play(lambda turn: sick.state is InstanceState.RUNNING, limit_s=30)
    sick.state, sick.exit_code = InstanceState.EXITED, 1
    jump(tide.world, -7200.0)
    await tide.play(lambda turn: sick.state is InstanceState.RUNNING and len(tide.world.containers) == 3, limit_s=320)
    assert sick.state is InstanceState.RUNNING
    assert sorted(tide.world.containers) == SECOND
