"""Blue-green rollouts and the way back told as stories on the memory platform."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import KEY, WATCH, Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.requests import Request
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.event import EventKind
from tidegate.model.operation import ApplyRoutes, CreateInstance, Operation, StartInstance
from tidegate.model.rollout import Phase
from tidegate.model.spec import BlueGreen, Mode, Rollback
from tidegate.model.traffic import Match, MatchOn, Preview

BOTH = BlueGreen(bake_s=5.0, keep_s=60.0, drain_s=2.0)
FIRST = [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
SECOND = [f"agent.prod.r2.{i}" for i in (1, 2, 3)]
PREVIEW = 9090


def mixtures(calls: list[Operation]) -> list[ApplyRoutes]:
    """Configurations in which two revisions share one route's requests."""
    applied = [call for call in calls if isinstance(call, ApplyRoutes)]
    return [a for a in applied if any(0 < b.weight < 100 for goal in a.routes for b in goal.backends)]


def watch_calls(tide: Tidegate) -> list[Operation]:
    calls: list[Operation] = []
    tide.world.on_call = lambda when, operation: calls.append(operation) if when == "after" else None
    return calls


async def test_the_switch_is_one_configuration_and_the_former_side_stays_warm(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=BOTH)
    await tide.deployed("1.0.0")
    calls = watch_calls(tide)
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    weights = [(e.data["from"], e.data["to"]) for e in await tide.events() if e.kind is EventKind.WEIGHT]
    assert weights == [(0, 100), (0, 100)]
    assert not mixtures(calls)
    assert sorted(tide.world.containers) == FIRST + SECOND
    await tide.play(lambda turn: turn.settled and len(tide.world.containers) == 3, limit_s=70)
    assert sorted(tide.world.containers) == SECOND
    assert tide.world.lost == 0


async def test_a_fault_after_the_switch_is_switched_back_at_once(tmp_path: Path) -> None:
    behaviours = {"bad": Behaviour(error_share=0.3)}
    tide = await Tidegate.begin(tmp_path / "t.db", behaviours, strategy=replace(BOTH, bake_s=30.0))
    await tide.deployed("1.0.0")
    calls = watch_calls(tide)
    await tide.deploy("bad")
    turn = await tide.play(in_phase(Phase.REVERTING))
    assert tide.world.ask(KEY) == 1, "the turn that decides it has switched"
    assert turn.decision.state.rollout is not None
    assert "errors in" in turn.decision.state.rollout.fault
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert sorted(tide.world.containers) == FIRST
    assert not mixtures(calls)
    assert tide.world.lost == 0


TESTER = Request(headers={"x-preview": "yes"})


async def test_the_preview_reaches_the_candidate_and_nothing_else_does(tmp_path: Path) -> None:
    preview = Preview(PREVIEW, matches=(Match(MatchOn.HEADER, "yes", "x-preview"),))
    strategy = replace(BOTH, preview=preview, automatic=False)
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.1.0": Behaviour(ready_after_s=3.0)}, strategy=strategy)
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    seen: set[tuple[int | None, int | None, int | None]] = set()

    def look(turn: Turn) -> bool:
        seen.add((tide.world.ask(KEY, port=8080), tide.world.ask(KEY, TESTER, 8080), tide.world.ask(KEY, port=PREVIEW)))
        return in_phase(Phase.PAUSED)(turn)

    turn = await tide.play(look)
    assert turn.decision.state.rollout is not None
    assert "waits for a person's word; its preview: port 9090" in turn.decision.state.rollout.because
    await tide.play(lambda turn: turn.settled, limit_s=5)
    assert look(turn)
    assert seen - {(1, 1, None)} == {(1, None, None), (1, 2, 2)}, "until it is ready nobody answers there"
    await tide.ask(intent.Promote(), by="grace")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.ask(KEY, port=PREVIEW) is None
    assert any(e.because == "step 2 is skipped, by grace" for e in await tide.events())


async def test_bad_answers_in_the_preview_never_reach_a_user(tmp_path: Path) -> None:
    strategy = replace(BOTH, preview=Preview(PREVIEW), analyse_s=5.0)
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(error_share=0.5)}, strategy=strategy)
    tide.world.rates[PREVIEW] = 20.0
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert [e for e in await tide.events() if e.kind is EventKind.WEIGHT and e.revision == 2] == []


@pytest.mark.parametrize(("preview", "end"), [(Preview(PREVIEW), Phase.PAUSED), (None, Phase.PROMOTED)])
async def test_a_silent_preview_is_inconclusive_and_none_at_all_is_not(
    tmp_path: Path, preview: Preview | None, end: Phase
) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(BOTH, preview=preview, analyse_s=3.0))
    tide.world.rates[PREVIEW] = 0.0
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED, Phase.PROMOTED))
    assert phase_of(turn.decision.state) is end


async def test_observing_lets_a_silent_preview_pass(tmp_path: Path) -> None:
    strategy = replace(BOTH, preview=Preview(PREVIEW), analyse_s=3.0)
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy, analysis=replace(WATCH, mode=Mode.OBSERVE))
    tide.world.rates[PREVIEW] = 0.0
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED, Phase.PROMOTED))
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_mirrored_requests_are_evidence_before_the_switch(tmp_path: Path) -> None:
    strategy = replace(BOTH, mirror=20, analyse_s=5.0)
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(error_share=0.5)}, strategy=strategy)
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_undo_inside_the_warm_time_starts_nothing_and_asks_no_analysis(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=BOTH)
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    calls, before = watch_calls(tide), tide.world.now
    await tide.ask(intent.Undo())
    turn = await tide.play(in_phase(Phase.PROMOTED))
    stable = turn.decision.state.stable
    assert stable is not None
    assert (stable.number, stable.undo_of, stable.runs_as) == (3, 1, 1)
    assert tide.world.now - before < 1.0
    assert [type(call) for call in calls] == [ApplyRoutes]
    assert sorted(tide.world.containers) == FIRST + SECOND, "what was left is kept warm in turn"
    assert tide.world.ask(KEY) == 1
    await tide.ask(intent.Undo(to_revision=2))
    turn = await tide.play(in_phase(Phase.PROMOTED))
    assert tide.world.ask(KEY) == 2
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.title == "4 = undo to 2 (1.1.0)"
    assert not any(isinstance(call, CreateInstance | StartInstance) for call in calls)
    assert tide.world.lost == 0


async def test_the_former_release_delivered_again_is_a_switch_too(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=BOTH)
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    calls = watch_calls(tide)
    await tide.deploy("1.0.0")
    await tide.play(in_phase(Phase.PROMOTED))
    assert [type(call) for call in calls] == [ApplyRoutes]


async def test_what_a_person_undid_is_delivered_again_with_all_its_evidence(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=BOTH)
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    await tide.ask(intent.Undo())
    await tide.play()
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.BAKING))
    assert turn.decision.state.rollout is not None
    assert not turn.decision.state.rollout.fast


async def test_a_warm_instance_that_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": Behaviour(ready_after_s=5.0)}, strategy=BOTH)
    await tide.deployed("1.0.0")
    await tide.deployed("1.1.0")
    tide.world.start("agent.prod.r1.2")
    began = tide.world.now
    await tide.ask(intent.Undo())
    await tide.play(in_phase(Phase.PROMOTED))
    assert tide.world.now - began >= 5.0
    assert tide.world.lost == 0


async def test_after_the_warm_time_undo_starts_instances_and_still_skips_the_steps(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(BOTH, keep_s=2.0, automatic=False))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    await tide.ask(intent.Promote())
    await tide.play(lambda turn: turn.settled and len(tide.world.containers) == 3, limit_s=60)
    await tide.ask(intent.Undo())
    turn = await tide.play(in_phase(Phase.PROMOTED, Phase.PAUSED))
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert [name for name in tide.world.containers if ".r3." in name]
    assert tide.world.lost == 0


@pytest.mark.parametrize(("window", "fast"), [(2, True), (1, False)])
async def test_the_rollback_window_hit_and_missed(tmp_path: Path, window: int, fast: bool) -> None:
    strategy = replace(BOTH, keep_s=0.0, automatic=False)
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy, rollback=Rollback(window=window))
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        await tide.deploy(version)
        await tide.play(in_phase(Phase.PAUSED, Phase.PROMOTED))
        if phase_of(await tide.state.store.load(KEY)) is Phase.PAUSED:  # type: ignore[arg-type]
            await tide.ask(intent.Promote())
        await tide.play()
    undo = await tide.ask(intent.Undo(to_revision=1))
    turn = await tide.play(in_phase(Phase.PAUSED, Phase.PROMOTED))
    assert phase_of(turn.decision.state) is (Phase.PROMOTED if fast else Phase.PAUSED)
    answer = await tide.state.store.answer(undo)
    assert answer is not None
    assert ("no steps, no new analysis" in answer.because) is fast


async def test_only_one_former_side_is_kept(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=BOTH)
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        turn = await tide.deployed(version)
    turn = await tide.play(lambda turn: turn.settled and len(tide.world.containers) == 6, limit_s=30)
    assert turn.settled
    assert sorted(tide.world.containers) == SECOND + [f"agent.prod.r3.{i}" for i in (1, 2, 3)]


async def test_abort_before_the_switch_leaves_no_trace(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(BOTH, preview=Preview(PREVIEW), automatic=False))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    await tide.ask(intent.Abort())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ABORTED
    assert sorted(tide.world.containers) == FIRST
    assert [goal.route.listen for goal in tide.world.routes[KEY]] == [8080]


async def test_a_weight_by_hand_is_refused(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=replace(BOTH, automatic=False))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    asked = await tide.ask(intent.SetWeight(50))
    await tide.loop.turn()
    answer = await tide.state.store.answer(asked)
    assert answer is not None
    assert not answer.accepted


async def test_without_routes_the_former_side_is_stopped_and_kept_until_promotion(tmp_path: Path) -> None:
    tide = await Tidegate.begin(
        tmp_path / "t.db", {"bad": Behaviour(sick_after_s=4.0)}, strategy=BOTH, base=workload(2, False)
    )
    await tide.deployed("1.0.0")
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert sorted(tide.world.containers) == FIRST[:2]
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert sorted(tide.world.containers) == [f"agent.prod.r3.{i}" for i in (1, 2)]
