"""The sequential engine deciding whole rollouts on the memory platform, by the policy that is shipped."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import QUICK, Tidegate, in_phase, phase_of
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model import intent
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, Analysis, Mode, Sequential, SetWeight, Undecidable

SHIPPED = Analysis()
SLOW = replace(QUICK, steps=(SetWeight(10), Analyse(60.0), SetWeight(50), Analyse(30.0)))


async def begun(path: Path, behaviours: dict[str, Behaviour], analysis: Analysis = SHIPPED) -> Tidegate:
    tide = await Tidegate.begin(path / "t.db", behaviours, strategy=SLOW, analysis=analysis)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=60)
    return tide


async def test_a_healthy_canary_is_promoted_on_proof(tmp_path: Path) -> None:
    tide = await begun(tmp_path, {"1.0.0": Behaviour(error_share=0.005), "1.1.0": Behaviour(error_share=0.005)})
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert any("proven not worse" in event.because for event in await tide.events())


async def test_errors_are_found_with_the_numbers(tmp_path: Path) -> None:
    tide = await begun(tmp_path, {"1.0.0": Behaviour(error_share=0.01), "bad": Behaviour(error_share=0.1)})
    turn = await tide.deployed("bad")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "errors in" in rollout.fault
    assert "against a limit of 100" in rollout.fault
    assert "one instance, so a bad host cannot be told from a bad version" in rollout.fault
    assert rollout.decided_at is not None
    assert rollout.decided_at - rollout.started_at < 30


async def test_latency_is_found(tmp_path: Path) -> None:
    tide = await begun(tmp_path, {"1.0.0": Behaviour(latency_ms=20), "slow": Behaviour(latency_ms=90)})
    turn = await tide.deployed("slow")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "slower than" in rollout.fault


async def test_a_collapse_needs_no_past(tmp_path: Path) -> None:
    tide = await Tidegate.begin(
        tmp_path / "t.db", {"dead": Behaviour(error_share=1.0)}, strategy=SLOW, analysis=SHIPPED
    )
    await tide.deployed("1.0.0")
    turn = await tide.deployed("dead")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.decided_at is not None
    assert rollout.decided_at - rollout.started_at < 8


@pytest.mark.parametrize("policy", list(Undecidable))
async def test_too_little_traffic_is_said_and_left_to_the_policy(tmp_path: Path, policy: Undecidable) -> None:
    analysis = Analysis(sequential=Sequential(within_s=30.0, undecidable=policy))
    tide = await begun(tmp_path, {}, analysis)
    tide.world.requests_per_s = 1.0
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED, Phase.PROMOTED))
    rollout = turn.decision.state.rollout
    assert rollout is not None
    if policy is Undecidable.PROCEED:
        assert rollout.phase is Phase.PROMOTED
        return
    assert rollout.phase is Phase.PAUSED
    assert "undecidable at this traffic" in rollout.because
    assert any("10 % to the canary: 1 ready; undecidable at this traffic" in e.because for e in await tide.events())
    await tide.ask(intent.Promote(), by="grace")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_the_weight_is_raised_when_the_traffic_is_too_little(tmp_path: Path) -> None:
    """100 requests/s: 10 % of them cannot prove within 40 s that errors did not double, half of them can."""
    strategy = replace(QUICK, steps=(SetWeight(10), Analyse(10.0)))
    analysis = Analysis(sequential=Sequential(within_s=40.0, undecidable=Undecidable.RAISE))
    tide = await Tidegate.begin(tmp_path / "t.db", {}, strategy=strategy, analysis=analysis)
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=60)
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    raised = [e for e in await tide.events() if e.data.get("by") == "undecidable: raise"]
    assert [(e.data["from"], e.data["to"]) for e in raised] == [(10, 50)]
    assert "set by undecidable: raise: undecidable at this traffic" in raised[0].because


async def test_observe_tells_and_acts_on_nothing(tmp_path: Path) -> None:
    analysis = Analysis(sequential=Sequential(), mode=Mode.OBSERVE)
    tide = await begun(tmp_path, {"bad": Behaviour(error_share=0.2)}, analysis)
    await tide.deploy("bad")
    turn = await tide.play(in_phase(Phase.PROMOTED, Phase.ROLLED_BACK, Phase.PAUSED))
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_the_memory_survives_a_killed_controller(tmp_path: Path) -> None:
    tide = await begun(tmp_path, {"1.0.0": Behaviour(error_share=0.01), "bad": Behaviour(error_share=0.04)})
    await tide.deploy("bad")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.play(lambda turn: False, limit_s=5)
    before = tide.loop._state.rollout.evidence["totals"][1]  # type: ignore[union-attr]
    await tide.restart()
    turn = await tide.play(lambda turn: True, limit_s=1)
    assert turn.decision.state.rollout is not None
    assert turn.decision.state.rollout.evidence["totals"][1] >= before > 0
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
