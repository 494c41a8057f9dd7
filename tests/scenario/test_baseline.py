"""A fresh baseline: it starts with the canary, gets as much traffic, is what the canary is compared with, and goes."""

from dataclasses import replace
from pathlib import Path

from tests.memory import KEY, QUICK, Tidegate, in_phase, phase_of
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.core.explain import reasons
from tidegate.model import intent
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, Analysis, Sequential, SetWeight

BESIDE = replace(QUICK, steps=(SetWeight(10), Analyse(30.0), SetWeight(60), Analyse(20.0)), baseline=True)
WORLD = {"1.0.0": Behaviour(error_share=0.01), "good": Behaviour(error_share=0.01), "bad": Behaviour(error_share=0.15)}


async def begun(path: Path) -> Tidegate:
    watched = Analysis((), Sequential(floor=0.03))
    tide = await Tidegate.begin(path / "t.db", WORLD, strategy=BESIDE, analysis=watched)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=90)
    return tide


def weights(turn: Turn) -> dict[int, int]:
    [route] = turn.decision.desired.routes
    return {backend.revision: backend.weight for backend in route.backends}


async def test_it_gets_the_canarys_share_and_is_gone_at_the_end(tmp_path: Path) -> None:
    tide = await begun(tmp_path)
    await tide.deploy("good")
    seen: dict[int, dict[int, int]] = {}

    def watching(turn: Turn) -> bool:
        rollout = turn.decision.state.rollout
        assert rollout is not None
        if turn.settled and rollout.phase is Phase.PROGRESSING:
            seen[rollout.weight] = weights(turn)
        return rollout.phase.ended and turn.settled

    turn = await tide.play(watching)
    state = turn.decision.state
    assert phase_of(state) is Phase.PROMOTED, state.rollout
    assert seen[10] == {1: 80, 2: 10, 3: 10}
    assert seen[60] == {1: 20, 2: 60, 3: 20}, "stable keeps some"
    turn = await tide.play(lambda turn: not turn.decision.state.retiring and turn.settled)
    assert {name for name in tide.world.containers if ".r2." not in name} == set(), "the baseline went with stable"
    assert weights(turn) == {2: 100}
    await tide.deploy("bad")
    turn = await tide.play(in_phase(Phase.PROGRESSING))
    assert turn.decision.state.rollout is not None
    assert turn.decision.state.rollout.candidate.number == 4, "the baseline had the number 3"


async def test_the_canary_is_compared_with_it_and_the_reason_says_so(tmp_path: Path) -> None:
    tide = await begun(tmp_path)
    turn = await tide.deployed("bad")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK, rollout.because
    tree = reasons(turn.decision.state)
    assert tree is not None
    texts = [one.text for one in tree.below]
    assert "compared with a fresh baseline of 1.0.0, as many instances, started with the candidate" in texts
    seconds, canary, stable, *_ = rollout.evidence["totals"]
    assert abs(canary - stable) <= 0.2 * canary, "as many requests as the canary, not as stable"
    assert seconds > 0
    turn = await tide.play(lambda turn: not turn.decision.state.retiring and turn.settled)
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{index}" for index in (1, 2, 3)]
    assert weights(turn) == {1: 100}


async def test_aborted_and_with_a_killed_controller_nothing_of_it_stays(tmp_path: Path) -> None:
    tide = await begun(tmp_path)
    await tide.deploy("good")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.play(lambda turn: False, limit_s=5)
    assert {name for name in tide.world.containers if ".r3." in name} == {"agent.prod.r3.1"}
    await tide.restart()
    await tide.ask(intent.Abort())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ABORTED
    turn = await tide.play(lambda turn: not turn.decision.state.retiring and turn.settled)
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{index}" for index in (1, 2, 3)]


async def test_a_first_release_and_an_undo_have_none(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", WORLD, strategy=BESIDE)
    turn = await tide.deployed("1.0.0")
    assert turn.decision.state.rollout is not None
    assert turn.decision.state.rollout.baseline is None
    state = await tide.state.store.load(KEY)
    assert state is not None
    assert state.next_revision == 2
