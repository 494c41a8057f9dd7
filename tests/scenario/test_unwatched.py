"""A controller dies while something is watched: the time in which nobody looked shows nothing, and is made up for."""

import asyncio
from pathlib import Path

from tests.memory import Tidegate, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model.event import EventKind
from tidegate.model.rollout import Phase
from tidegate.model.spec import BlueGreen, Canary, Pause, Rolling, SetWeight
from tidegate.model.traffic import Preview

BAD = {"1.1.0": Behaviour(error_share=0.2)}


def at(phase: Phase) -> object:
    def reached(turn: Turn) -> bool:
        rollout = turn.decision.state.rollout
        return rollout is not None and rollout.phase is phase

    return reached


def test_a_bake_that_nobody_watched_promotes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        tide = await Tidegate.begin(tmp_path / "t.db", BAD, strategy=Rolling(bake_s=3.0, drain_s=1.0), base=workload(2))
        await tide.deployed("1.0.0")
        await tide.deploy("1.1.0")
        await tide.play(at(Phase.BAKING))  # type: ignore[arg-type]
        await tide.restart()  # takes 11 s: the bake of 3 s would be over
        turn = await tide.play()
        rollout = turn.decision.state.rollout
        assert rollout is not None
        assert rollout.phase is Phase.ROLLED_BACK
        told = [event for event in await tide.events() if "nobody watched" in event.because]
        assert [event.kind for event in told] == [EventKind.PHASE]

    asyncio.run(story())


def test_a_watch_of_the_preview_is_made_up_for(tmp_path: Path) -> None:
    async def story() -> None:
        both = BlueGreen(Preview(9090), analyse_s=2.0, bake_s=2.0, drain_s=1.0)
        tide = await Tidegate.begin(tmp_path / "t.db", strategy=both, base=workload(2))
        tide.world.rates[9090] = 5.0
        await tide.deployed("1.0.0")
        await tide.deploy("1.1.0")
        await tide.play(at(Phase.PROGRESSING))  # type: ignore[arg-type]
        await tide.restart()
        turn = await tide.play()
        rollout = turn.decision.state.rollout
        assert rollout is not None
        assert rollout.phase is Phase.PROMOTED

    asyncio.run(story())


def test_a_pause_goes_on_by_the_clock(tmp_path: Path) -> None:
    async def story() -> None:
        canary = Canary((SetWeight(20), Pause(30.0)), bake_s=1.0, drain_s=1.0)
        tide = await Tidegate.begin(tmp_path / "t.db", strategy=canary, base=workload(2))
        await tide.deployed("1.0.0")
        await tide.deploy("1.1.0")
        await tide.play(at(Phase.PAUSED))  # type: ignore[arg-type]
        began = tide.world.now
        await tide.restart()
        await tide.play(lambda turn: not at(Phase.PAUSED)(turn))  # type: ignore[operator]
        assert tide.world.now - began < 32.0

    asyncio.run(story())
