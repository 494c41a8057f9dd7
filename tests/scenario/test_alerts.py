"""Alerts in whole rollouts: what takes a release back, during it and after, and what must not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import KEY, Tidegate, finished, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.controller.loop import Turn
from tidegate.core import quarantine
from tidegate.model.alerting import ALERTMANAGER, SHIPPED, Alerting, AlertPhase, AlertRule, OnAlert
from tidegate.model.event import Event, EventKind
from tidegate.model.intent import Resume, TellAlert
from tidegate.model.policy import Policy
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, Canary, SetWeight

SLOW = AlertRule(
    "slow", "gateway", "latency_mean", above=200.0, over_s=5.0, for_s=3.0, keep_firing_s=5.0, on_alert=OnAlert.ROLLBACK
)
TOLD = AlertRule("SloBurn", ALERTMANAGER, on_alert=OnAlert.ROLLBACK)
PATIENT = Canary(steps=(SetWeight(50), Analyse(20.0)), bake_s=20.0, drain_s=5.0)


async def begin(path: Path, *rules: AlertRule, **behaviours: Behaviour) -> Tidegate:
    policy = Policy(alerts=Alerting(rules, within_s=60.0))
    versions = {name.replace("_", "."): one for name, one in behaviours.items()}
    named = {version.lstrip("v"): one for version, one in versions.items()}
    tide = await Tidegate.begin(path / "t.db", named, policy=policy, strategy=PATIENT)
    await tide.deployed("1.0.0")
    return tide


async def told(tide: Tidegate) -> list[Event]:
    return [event for event in await tide.events() if event.kind is EventKind.ALERT]


def burning(tide: Tidegate, name: str = "SloBurn", at: float | None = None, firing: bool = True) -> TellAlert:
    return TellAlert(name, f"print-{name}", firing, tide.world.now if at is None else at, "the budget burns")


async def wait(tide: Tidegate, seconds: float) -> Turn:
    return await tide.play(lambda turn: False, limit_s=seconds)


async def test_a_rule_takes_a_slow_release_back_and_says_why(tmp_path: Path) -> None:
    tide = await begin(tmp_path, SLOW, v1_1_0=Behaviour(latency_ms=400.0))
    turn = await tide.deployed("1.1.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.fault.startswith("alert slow of r2 fires: ")
    assert rollout.fault.endswith("(mean of latency_mean over 5 s > 200 for 3 s)")
    assert quarantine.find(turn.decision.state, rollout.candidate.release.image, tide.base) is not None
    await wait(tide, 30)
    assert [event.data["end"] for event in await told(tide)] == ["alert_firing", "alert_resolved"]


async def test_one_that_pauses_waits_for_a_person_whose_word_then_holds(tmp_path: Path) -> None:
    tide = await begin(tmp_path, replace(SLOW, on_alert=OnAlert.PAUSE), v1_1_0=Behaviour(latency_ms=400.0))
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED))
    hold = turn.decision.state.rollout.hold if turn.decision.state.rollout else None
    assert hold is not None
    assert hold.because.startswith("alert slow of r2 fires")
    await tide.ask(Resume(), reason="known to be slow")
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED


async def test_one_that_only_tells_changes_nothing(tmp_path: Path) -> None:
    tide = await begin(tmp_path, replace(SLOW, on_alert=OnAlert.NOTIFY), v1_1_0=Behaviour(latency_ms=400.0))
    assert phase_of((await tide.deployed("1.1.0")).decision.state) is Phase.PROMOTED
    assert [event.data["subject"] for event in await told(tide)] == ["r2"]


async def test_trouble_that_was_there_before_the_rollout_takes_nothing_back(tmp_path: Path) -> None:
    """Stable is slow already, and so is the candidate: it is not the release's doing."""
    slow = Behaviour(latency_ms=400.0)
    tide = await begin(tmp_path, SLOW, v1_0_0=slow, v1_1_0=slow)
    await tide.ask(Resume(), reason="a first release has nothing to go back to")
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED
    turn = await wait(tide, 20)
    assert [alert.phase for alert in turn.decision.state.alerts] == [AlertPhase.FIRING]
    assert phase_of((await tide.deployed("1.1.0")).decision.state) is Phase.PROMOTED


async def test_an_alert_from_elsewhere_that_fired_before_takes_nothing_back(tmp_path: Path) -> None:
    tide = await begin(tmp_path, TOLD)
    await tide.ask(burning(tide))
    await wait(tide, 2)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    # It flaps: over, and back under the new rollout. It was there before it all the same.
    await tide.ask(burning(tide, firing=False))
    await wait(tide, 1)
    await tide.ask(burning(tide))
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED


async def test_one_that_began_before_and_is_told_late_takes_nothing_back(tmp_path: Path) -> None:
    tide = await begin(tmp_path, TOLD)
    before = tide.world.now
    await wait(tide, 5)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.ask(burning(tide, at=before))
    assert phase_of((await tide.play()).decision.state) is Phase.PROMOTED


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.BAKING])
async def test_an_alert_from_elsewhere_takes_a_release_back(tmp_path: Path, phase: Phase) -> None:
    tide = await begin(tmp_path, TOLD)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(phase))
    await wait(tide, 2)
    await tide.ask(burning(tide))
    rollout = (await tide.play()).decision.state.rollout
    assert rollout is not None
    assert (rollout.phase, rollout.fault) == (Phase.ROLLED_BACK, "alert SloBurn fires: the budget burns")
    assert tide.world.lost == 0


async def test_after_promotion_it_is_undone_within_the_time_and_kept_out(tmp_path: Path) -> None:
    tide = await begin(tmp_path, TOLD)
    await tide.deployed("1.1.0")
    await wait(tide, 30)
    await tide.ask(burning(tide))
    await wait(tide, 2)
    turn = await tide.play(finished)
    state = turn.decision.state
    assert state.stable is not None
    assert (state.stable.number, state.stable.undo_of, state.stable.by) == (3, 1, "tidegate")
    assert [entry.version for entry in state.quarantine] == ["1.1.0"]
    assert state.held is not None
    # A rollback is never rolled back: the same again, while it goes on firing or anew, changes nothing.
    await tide.ask(burning(tide, firing=False))
    await wait(tide, 1)
    await tide.ask(burning(tide))
    turn = await wait(tide, 20)
    assert turn.decision.state.stable == state.stable


@pytest.mark.parametrize("on_alert", [OnAlert.ROLLBACK, OnAlert.PAUSE])
async def test_a_second_alert_does_not_stand_in_the_way_back(tmp_path: Path, on_alert: OnAlert) -> None:
    other = replace(TOLD, name="Other", on_alert=on_alert)
    tide = await begin(tmp_path, TOLD, other)
    await tide.deployed("1.1.0")
    await tide.ask(burning(tide))
    turn = await tide.play(in_phase(Phase.PREPARING, Phase.STARTING, Phase.PROGRESSING, Phase.PROMOTING))
    assert turn.decision.state.active is not None
    await tide.ask(burning(tide, "Other"))
    state = (await tide.play()).decision.state
    assert state.stable is not None
    assert (phase_of(state), state.stable.undo_of) == (Phase.PROMOTED, 1)


async def test_too_long_after_promotion_it_is_only_told(tmp_path: Path) -> None:
    tide = await begin(tmp_path, TOLD)
    await tide.deployed("1.1.0")
    await wait(tide, 70)
    await tide.ask(burning(tide))
    turn = await wait(tide, 5)
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.number == 2
    assert [event.data["end"] for event in await told(tide)] == ["alert_firing"]


async def test_a_first_release_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    policy = Policy(alerts=Alerting((TOLD,)))
    tide = await Tidegate.begin(tmp_path / "t.db", {}, policy=policy, strategy=PATIENT)
    await tide.deploy("1.0.0")
    await tide.play(in_phase(Phase.BAKING))
    await tide.ask(burning(tide))
    turn = await wait(tide, 5)
    assert phase_of(turn.decision.state) is Phase.PAUSED


async def test_a_heartbeat_missed_twice_is_told_once_with_the_controller_killed_between(tmp_path: Path) -> None:
    rule = next(rule for rule in SHIPPED if rule.name == "heartbeat_missed")
    behaviours, policy = {"1.0.0": Behaviour(heartbeat_s=1.0)}, Policy(alerts=Alerting((rule,)))
    tide = await Tidegate.begin(tmp_path / "t.db", behaviours, base=workload(1), policy=policy)
    await tide.deployed("1.0.0")
    tide.world.muted.add("agent.prod.r1.1")
    turn = await wait(tide, 45)
    assert [alert.phase for alert in turn.decision.state.alerts] == [AlertPhase.PENDING]
    turn = await wait(tide, 30)
    assert [alert.phase for alert in turn.decision.state.alerts] == [AlertPhase.FIRING]
    await tide.centre.registry.save()
    await tide.restart()
    await wait(tide, 60)
    tide.world.muted.clear()
    turn = await wait(tide, 5)
    assert [event.data["end"] for event in await told(tide)] == ["alert_firing", "alert_resolved"]
    assert turn.decision.state.key == KEY
