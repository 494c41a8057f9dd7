"""in_place has nothing beside it: stable's past is the control, and the verdict says so; without one there is none."""

from pathlib import Path

import pytest

from tests.memory import Tidegate, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.core.explain import reasons
from tidegate.model.rollout import Phase, Rollout
from tidegate.model.spec import Analysis, InPlace, Sequential

SWAP = InPlace(bake_s=90.0)
WORLD = {"1.0.0": Behaviour(error_share=0.01), "good": Behaviour(error_share=0.01), "bad": Behaviour(error_share=0.1)}


async def swapped(path: Path, version: str, past_s: float) -> tuple[Rollout, list[str]]:
    watched = Analysis((), Sequential(objective=False))
    tide = await Tidegate.begin(path / "t.db", WORLD, strategy=SWAP, base=workload(1), analysis=watched)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=past_s)
    turn = await tide.deployed(version)
    rollout, tree = turn.decision.state.rollout, reasons(turn.decision.state)
    assert rollout is not None
    assert tree is not None
    return rollout, [one.text for one in tree.below]


@pytest.mark.parametrize(("version", "end"), [("good", Phase.PROMOTED), ("bad", Phase.ROLLED_BACK)])
async def test_stables_past_is_the_control(tmp_path: Path, version: str, end: Phase) -> None:
    rollout, texts = await swapped(tmp_path, version, 200.0)
    assert rollout.phase is end, rollout.because
    assert "nothing ran beside it: compared with stable's past, its last minutes played second by second" in texts
    if end is Phase.ROLLED_BACK:
        assert "errors in" in rollout.fault
        assert "against a limit of 100" in rollout.fault


async def test_a_first_release_is_judged_by_thresholds_and_hard_facts_and_says_so(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", WORLD, strategy=SWAP, base=workload(1), analysis=Analysis())
    turn = await tide.deployed("1.0.0")
    tree = reasons(turn.decision.state)
    assert tree is not None
    assert "compared with nothing that ran beside it: thresholds and hard facts alone" in [r.text for r in tree.below]
