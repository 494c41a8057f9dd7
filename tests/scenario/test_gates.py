"""Gates, freeze windows and the switch for everything, told as stories; a way back passes all of them."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.memory import QUICK, Tidegate, in_phase, phase_of
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.event import EventKind
from tidegate.model.policy import FreezeWindow, Gate, OnExpired, Policy, Repeat
from tidegate.model.rollout import PauseKind, Phase
from tidegate.model.spec import Analyse, Rolling, SetWeight
from tidegate.model.standing import PausedAll

GATE = Gate("production", ("grace", "ada"), expires_s=60.0)
WITH_GATE = replace(QUICK, steps=(SetWeight(20), Gate("half", expires_s=30.0), SetWeight(50), Analyse(3.0)))


def at(world_now: float, minutes: int) -> int:
    """Minutes since midnight UTC, some minutes from the world's now."""
    now = datetime.fromtimestamp(world_now, UTC)
    return (now.hour * 60 + now.minute + minutes) % 1440


def freeze(world_now: float, begins: int, ends: int) -> FreezeWindow:
    return FreezeWindow("evening", Repeat.DAILY, at(world_now, begins), at(world_now, ends))


def held(turn: Turn) -> PauseKind | None:
    rollout = turn.decision.state.active
    return rollout.hold.kind if rollout and rollout.hold else None


async def begun(tmp_path: Path, policy: Policy, **more: object) -> Tidegate:
    """With 1.0.0 serving and the policy in force from now on."""
    tide = await Tidegate.begin(tmp_path / "t.db", **more)  # type: ignore[arg-type]
    await tide.deployed("1.0.0")
    tide.policy = policy
    return tide


async def test_the_gate_before_a_rollout_opens_for_whom_it_is_for_and_keeps_the_comment(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy(gate=GATE))
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED))
    assert held(turn) is PauseKind.GATE
    assert all(".r1." in name for name in tide.world.containers)
    for by, comment, words in (
        ("mallory", "let me", "is for grace, ada"),
        ("grace", "", "needs a comment"),
        ("", "x", "named person"),
    ):
        answer = await tide.answer(await tide.ask(intent.Approve(), by=by, reason=comment))
        assert not answer.accepted
        assert words in answer.because
    for going_around in (intent.Promote(full=True), intent.Promote(), intent.Resume()):
        assert not (await tide.answer(await tide.ask(going_around, reason="hurry"))).accepted
    assert (await tide.answer(await tide.ask(intent.Approve(), by="grace", reason="looked at the diff"))).accepted
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.PROMOTED
    assert [(a.gate, a.by, a.comment) for a in rollout.approvals] == [("production", "grace", "looked at the diff")]


async def test_four_eyes(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy(gate=Gate(four_eyes=True)))
    await tide.deploy("1.1.0", by="ada")
    await tide.play(in_phase(Phase.PAUSED))
    answer = await tide.answer(await tide.ask(intent.Approve(), by="ada", reason="mine"))
    assert "second person" in answer.because
    assert (await tide.answer(await tide.ask(intent.Approve(), by="grace", reason="hers"))).accepted


async def test_an_expired_gate_stays_paused_says_so_and_is_asked_anew(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy(), strategy=WITH_GATE)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    turn = await tide.play(lambda turn: False, limit_s=40)
    rollout = turn.decision.state.active
    assert rollout is not None
    assert (rollout.phase, rollout.weight) == (Phase.PAUSED, 20)
    assert "expired at" in rollout.because
    assert len([e for e in await tide.events() if e.kind is EventKind.GATE]) == 1
    late = await tide.answer(await tide.ask(intent.Approve(), by="grace", reason="sorry, lunch"))
    assert "resume asks anew" in late.because
    assert (await tide.answer(await tide.ask(intent.Resume()))).accepted
    assert (await tide.answer(await tide.ask(intent.Approve(), by="grace", reason="now"))).accepted
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_an_expired_gate_aborts_by_policy(tmp_path: Path) -> None:
    gate = Gate("half", expires_s=30.0, on_expired=OnExpired.ABORT)
    tide = await begun(tmp_path, Policy(), strategy=replace(WITH_GATE, steps=(SetWeight(20), gate, SetWeight(50))))
    await tide.deploy("1.1.0")
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert (rollout.phase, rollout.aborted_by) == (Phase.ABORTED, "gate half")
    assert turn.decision.state.quarantine == ()
    assert tide.world.lost == 0


async def test_promote_full_stops_at_a_gate(tmp_path: Path) -> None:
    steps = (SetWeight(10), Analyse(60.0), Gate("half"), SetWeight(50))
    tide = await begun(tmp_path, Policy(), strategy=replace(QUICK, steps=steps))
    await tide.deploy("1.1.0")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.cursor == 1))
    answer = await tide.answer(await tide.ask(intent.Promote(full=True), by="grace"))
    assert answer.because == "every step that is left is skipped, up to the gate in step 3, by grace"
    turn = await tide.play(in_phase(Phase.PAUSED), limit_s=5)
    assert held(turn) is PauseKind.GATE
    assert not (await tide.answer(await tide.ask(intent.Promote()))).accepted
    await tide.ask(intent.Reject(), by="grace", reason="not today")
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert (rollout.phase, rollout.fault) == (Phase.ABORTED, "gate half was rejected: not today")


async def test_no_rollout_begins_inside_a_freeze_window_and_it_begins_by_itself_after_it(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy())
    tide.policy = Policy(freeze=(freeze(tide.world.now, -5, 10),))
    await tide.deploy("1.1.0")
    turn = await tide.play(lambda turn: False, limit_s=120)
    assert held(turn) is PauseKind.FREEZE
    assert all(".r1." in name for name in tide.world.containers)
    turn = await tide.play(limit_s=900)
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_no_weight_rises_inside_a_freeze_window(tmp_path: Path) -> None:
    strategy = replace(QUICK, steps=(SetWeight(10), Analyse(240.0), SetWeight(50), Analyse(5.0)))
    tide = await begun(tmp_path, Policy(), strategy=strategy)
    tide.policy = Policy(freeze=(freeze(tide.world.now, 2, 10),))
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED), limit_s=200)
    assert held(turn) is PauseKind.FREEZE
    turn = await tide.play(lambda turn: False, limit_s=300)
    assert turn.decision.state.active is not None
    assert turn.decision.state.active.weight == 10
    assert not (await tide.answer(await tide.ask(intent.Resume(), by="grace"))).accepted
    assert (await tide.answer(await tide.ask(intent.Resume(), by="grace", reason="fixes the outage"))).accepted
    turn = await tide.play(limit_s=290)
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert (rollout.phase, rollout.freeze_overridden_by) == (Phase.PROMOTED, "grace")


async def test_the_way_back_is_open_inside_a_freeze_window(tmp_path: Path) -> None:
    behaviours = {"1.1.0": Behaviour(error_share=0.3, fault_after_s=130.0)}
    strategy = replace(QUICK, steps=(SetWeight(10), Analyse(600.0)))
    tide = await begun(tmp_path, Policy(), strategy=strategy, behaviours=behaviours)
    tide.policy = Policy(freeze=(freeze(tide.world.now, 2, 60),))
    await tide.deploy("1.1.0")
    turn = await tide.play(limit_s=400)
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    tide.policy, tide.strategy = Policy(freeze=(freeze(tide.world.now, -5, 60),)), QUICK
    await tide.deploy("1.2.0", by="grace", reason="fixes it", override_freeze=True)
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED
    await tide.ask(intent.Undo())
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED
    assert tide.world.lost == 0


@pytest.mark.parametrize("rolling", [False, True])
async def test_one_switch_pauses_everything_and_only_that_switch_lets_it_go(tmp_path: Path, rolling: bool) -> None:
    strategy = Rolling(max_surge="1", bake_s=3.0, drain_s=3.0, min_ready_s=3.0) if rolling else QUICK
    tide = await begun(tmp_path, Policy(), strategy=strategy)
    await tide.deploy("1.1.0")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight))
    await tide.state.switches.pause(PausedAll("grace", tide.world.now, "database work"))
    turn = await tide.play(in_phase(Phase.PAUSED), limit_s=5)
    assert turn.decision.state.active is not None
    weight, there = turn.decision.state.active.weight, sorted(tide.world.containers)
    await tide.restart()
    turn = await tide.play(lambda turn: False, limit_s=60)
    assert turn.decision.state.active is not None
    assert turn.decision.state.active.because == "everything is paused by grace: database work"
    assert turn.decision.state.active.weight == weight
    assert sorted(tide.world.containers) == there
    for word in (intent.Resume(), intent.Promote(), intent.Promote(full=True)):
        assert not (await tide.answer(await tide.ask(word, reason="hurry"))).accepted
    await tide.state.switches.pause(None)
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.lost == 0


async def test_rollbacks_aborts_and_undos_may_while_everything_is_paused(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy())
    await tide.deployed("1.1.0")
    await tide.deploy("1.2.0")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight))
    await tide.state.switches.pause(PausedAll("grace", tide.world.now))
    await tide.play(in_phase(Phase.PAUSED))
    await tide.ask(intent.Abort())
    assert phase_of((await tide.play()).decision.state) is Phase.ABORTED
    await tide.ask(intent.Undo())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.undo_of == 1
    await tide.deploy("1.3.0")
    turn = await tide.play(lambda turn: False, limit_s=30)
    assert held(turn) is PauseKind.ALL


async def test_a_former_release_passes_gates_like_any_other_unless_a_person_goes_back_to_it(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy())
    await tide.deployed("1.1.0")
    tide.policy = Policy(freeze=(freeze(tide.world.now, -5, 60),))
    await tide.deploy("1.0.0", by="ci", automatic=True)
    turn = await tide.play(lambda turn: False, limit_s=30)
    assert held(turn) is PauseKind.FREEZE
    await tide.ask(intent.Abort())
    await tide.play()
    await tide.deploy("1.0.0", by="grace")
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED


async def test_a_second_undo_does_not_lead_forward_again(tmp_path: Path) -> None:
    tide = await begun(tmp_path, Policy())
    await tide.deployed("1.1.0")
    await tide.deployed("1.2.0")
    for expected in ("1.1.0", "1.0.0"):
        await tide.ask(intent.Undo())
        state = (await tide.play()).decision.state
        assert state.stable is not None
        assert state.stable.release.version == expected
    assert not (await tide.answer(await tide.ask(intent.Undo()))).accepted
