"""Heartbeats in whole rollouts: a canary that goes quiet goes back; nobody is declared dead too early."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model.event import EventKind
from tidegate.model.rollout import Phase, Rollout
from tidegate.model.spec import Rollback

REPORTS = Behaviour(heartbeat_s=1.0)


def told(tide_events: list) -> list[str]:  # type: ignore[type-arg]
    return [event.because for event in tide_events if event.kind is EventKind.HEARTBEAT]


async def rollout_of(tide: Tidegate, version: str) -> Rollout:
    turn = await tide.deployed(version)
    assert turn.decision.state.rollout is not None
    return turn.decision.state.rollout


async def test_a_canary_that_goes_quiet_is_rolled_back(tmp_path: Path) -> None:
    quiet = replace(REPORTS, quiet_after_s=4.5)
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS, "1.1.0": quiet})
    assert (await rollout_of(tide, "1.0.0")).phase is Phase.PROMOTED
    rollout = await rollout_of(tide, "1.1.0")
    assert rollout.phase is Phase.ROLLED_BACK
    # The last heartbeat came 4 s after the start; three intervals of 1 s are allowed.
    assert rollout.fault == "no heartbeat of agent.prod.r2.1 for 3.1 s, 3 s allowed; it reported every 1 s"
    assert tide.world.lost == 0


async def test_the_configured_deadline_wins(tmp_path: Path) -> None:
    quiet = replace(REPORTS, quiet_after_s=1.5)
    behaviours = {"1.0.0": REPORTS, "1.1.0": quiet}
    tide = await Tidegate.begin(tmp_path / "t.db", behaviours, rollback=Rollback(heartbeat_deadline_s=8.0))
    await tide.deployed("1.0.0")
    rollout = await rollout_of(tide, "1.1.0")
    assert "for 8.1 s, 8 s allowed" in rollout.fault


async def test_a_canary_that_never_reported_is_no_fault(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS, "1.1.0": Behaviour()})
    await tide.deployed("1.0.0")
    assert (await rollout_of(tide, "1.1.0")).phase is Phase.PROMOTED


async def test_a_canary_that_says_it_is_failing_is_rolled_back(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS, "1.1.0": replace(REPORTS, failing_after_s=3.0)})
    await tide.deployed("1.0.0")
    rollout = await rollout_of(tide, "1.1.0")
    assert rollout.phase is Phase.ROLLED_BACK
    assert rollout.fault == "agent.prod.r2.1 reports that it is failing: the queue is full"


@pytest.mark.parametrize("saved", [True, False])
async def test_after_a_restart_of_the_controller_nobody_is_declared_dead_early(tmp_path: Path, saved: bool) -> None:
    slow = Behaviour(heartbeat_s=3.0)
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": slow, "1.1.0": slow})
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.play(lambda turn: False, limit_s=4)
    if saved:
        await tide.centre.registry.save()
    await tide.restart()  # 11 s in which nobody hears: longer than the 9 s that are allowed
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert told(await tide.events()) == []


async def test_a_canary_that_died_while_nobody_listened_is_found_after_its_deadline(tmp_path: Path) -> None:
    quiet = replace(REPORTS, quiet_after_s=2.0)
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS, "1.1.0": quiet})
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    await tide.play(lambda turn: False, limit_s=1)
    await tide.centre.registry.save()
    await tide.restart()
    restarted = tide.world.now
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "no heartbeat of agent.prod.r2.1 for 3.1 s" in rollout.fault
    assert rollout.decided_at is not None
    assert rollout.decided_at - restarted == pytest.approx(3.1, abs=0.2)


async def test_stable_gone_quiet_is_told_once_and_so_is_its_return(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS}, base=workload(replicas=2))
    await tide.deployed("1.0.0")
    tide.world.muted.add("agent.prod.r1.2")
    turn = await tide.play(lambda turn: False, limit_s=20)
    where = "its container is running: its process hangs, or cannot reach us"
    expected = f"no heartbeat of agent.prod.r1.2 for 3 s; it reported every 1 s ({where})"
    assert told(await tide.events()) == [expected]
    assert list(turn.decision.state.quiet) == ["agent.prod.r1.2"]
    await tide.centre.registry.save()
    await tide.restart()  # a new controller does not tell it again, nor that it came back
    await tide.play(lambda turn: False, limit_s=20)
    assert told(await tide.events()) == [expected]
    tide.world.muted.clear()
    turn = await tide.play(lambda turn: False, limit_s=5)
    events = told(await tide.events())
    assert len(events) == 2
    assert events[1].startswith("agent.prod.r1.2 reports again, after 5")
    assert not turn.decision.state.quiet
    assert sorted(tide.world.containers) == ["agent.prod.r1.1", "agent.prod.r1.2"]


async def test_a_restarted_instance_is_not_judged_by_its_former_self(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS}, base=workload(replicas=2))
    await tide.deployed("1.0.0")
    tide.world.muted.add("agent.prod.r1.1")
    tide.world.start("agent.prod.r1.1")
    turn = await tide.play(lambda turn: False, limit_s=20)
    assert told(await tide.events()) == []
    assert not turn.decision.state.quiet


async def test_a_controller_that_slept_hears_first(tmp_path: Path) -> None:
    """Suspended for a minute, or its clock was set forward: what was sent meanwhile may wait in a queue."""
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": REPORTS})
    await tide.deployed("1.0.0")
    hear, tide.world.hear = tide.world.hear, lambda heartbeat: None
    tide.world.advance(60.0)
    tide.world.hear = hear
    await tide.play(lambda turn: False, limit_s=10)
    assert told(await tide.events()) == []
