"""Waves over a fleet, told as stories on the memory platform."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fleets import KEY, LIMITS, QUICK_DISK, Fleet, ended, hosts, in_phase, in_stage, stages, waves
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model import intent as intents
from tidegate.model.event import EventKind
from tidegate.model.fleet import FleetState, HostStage
from tidegate.model.rollout import Phase
from tidegate.model.spec import Canary, InPlace, SetWeight
from tidegate.model.spec import Pause as PauseStep
from tidegate.model.waves import Exponential, Waves

BAD = Behaviour(ready_after_s=None)
NEVER = {"2.0.0": BAD}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a quick disk."""
    with tempfile.TemporaryDirectory(dir=QUICK_DISK) as folder:
        yield Path(folder)


def phase(state: FleetState) -> Phase:
    assert state.rollout is not None
    return state.rollout.phase


async def test_waves_are_promoted_one_after_the_other(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 6, waves("1", "2"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.turn()
    state = await fleet.play(in_phase(Phase.BAKING))
    assert await fleet.versions() == {"h1": "2.0.0", **{f"h{n}": "1.0.0" for n in range(2, 7)}}
    state = await fleet.play(ended)
    assert phase(state) is Phase.PROMOTED
    assert set((await fleet.versions()).values()) == {"2.0.0"}
    assert state.stable is not None
    assert state.stable.number == 2
    assert all(world.lost == 0 for world in fleet.worlds.values())
    begun = [e.data["host"] for e in await fleet.events(EventKind.HOST) if e.data["to"] == "rolling"]
    assert begun[6:] == ["h1", "h2", "h3", "h4", "h5", "h6"]
    notice = (await fleet.events(EventKind.NOTICE))[-1]
    assert "Update complete: agent.prod runs revision 2 (2.0.0)" in notice.because


async def test_no_more_hosts_roll_at_once_than_the_wave_allows(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 5, waves("100%", limits=replace(LIMITS, concurrency="2")))
    most = 0

    def watch(fleet: Fleet) -> None:
        nonlocal most
        state = fleet.fleet.state
        if state is not None and state.rollout is not None:
            most = max(most, sum(1 for host in state.rollout.hosts.values() if host.stage is HostStage.ROLLING))

    fleet.watch = watch
    assert phase(await fleet.deployed("1.0.0")) is Phase.PROMOTED
    assert most == 2


async def test_exponential_waves_grow(tmp_path: Path) -> None:
    plan = Waves(exponential=Exponential(1, 2.0), limits=LIMITS)
    fleet = await Fleet.begin(tmp_path / "t.db", 7, plan)
    state = await fleet.deployed("1.0.0")
    assert state.rollout is not None
    assert [len(wave.hosts) for wave in state.rollout.waves] == [1, 2, 4]
    assert phase(state) is Phase.PROMOTED


async def test_the_threshold_takes_back_the_waves_that_were_done(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 4, waves("2"), {"h4": NEVER})
    await fleet.deployed("1.0.0")
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.ROLLED_BACK
    assert set((await fleet.versions()).values()) == {"1.0.0"}
    assert state.stable is not None
    assert state.stable.release.version == "1.0.0"
    taken_back = await fleet.host("h1")
    assert taken_back.stable is not None
    assert taken_back.stable.undo_of == 1
    assert "h4" in (await fleet.events(EventKind.NOTICE))[-1].because


async def test_failures_below_the_threshold_stop_nobody(tmp_path: Path) -> None:
    limits = replace(LIMITS, failed_share=50.0, failed_minimum=1)
    fleet = await Fleet.begin(tmp_path / "t.db", 4, waves("100%", limits=limits), {"h2": NEVER})
    await fleet.deployed("1.0.0")
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    assert stages(state)["h2"] is HostStage.FAILED
    assert await fleet.versions() == {"h1": "2.0.0", "h2": "1.0.0", "h3": "2.0.0", "h4": "2.0.0"}


async def test_the_way_back_skips_the_steps_of_a_canary(tmp_path: Path) -> None:
    slow = Canary(steps=(SetWeight(50), PauseStep(60.0)), bake_s=2.0, drain_s=1.0)
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"), {"h3": NEVER}, strategy=slow)
    await fleet.deployed("1.0.0")
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.ROLLED_BACK
    assert state.rollout is not None
    assert state.rollout.ended_at is not None
    assert state.rollout.decided_at is not None
    assert state.rollout.ended_at - state.rollout.decided_at < 15.0


async def test_an_unreachable_host_is_counted_apart_and_catches_up(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 4, waves("100%"))
    await fleet.deployed("1.0.0")
    fleet.worlds["h2"].reachable = False
    await fleet.play_for(1.0)
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    assert stages(state)["h2"] is HostStage.UNREACHABLE
    assert (await fleet.versions())["h2"] == "1.0.0"
    fleet.worlds["h2"].reachable = True
    state = await fleet.play(in_stage("h2", HostStage.DONE))
    assert (await fleet.versions())["h2"] == "2.0.0"


async def test_a_host_cut_off_in_mid_wave_goes_on_where_it_was(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h3", HostStage.ROLLING))
    fleet.worlds["h3"].reachable = False
    state = await fleet.play(ended)
    assert phase(state) is Phase.PROMOTED
    assert stages(state) == {"h1": HostStage.DONE, "h2": HostStage.DONE, "h3": HostStage.UNREACHABLE}
    await fleet.play_for(60.0)
    fleet.worlds["h3"].reachable = True
    await fleet.play(in_stage("h3", HostStage.DONE))
    assert (await fleet.versions())["h3"] == "2.0.0"


async def test_a_host_that_was_away_for_a_release_goes_straight_to_the_newest(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h3", HostStage.ROLLING))
    fleet.worlds["h3"].reachable = False
    await fleet.play(ended)
    state = await fleet.deployed("3.0.0")
    assert phase(state) is Phase.PROMOTED
    fleet.worlds["h3"].reachable = True
    await fleet.play(in_stage("h3", HostStage.DONE))
    assert (await fleet.versions())["h3"] == "3.0.0"
    served = [revision.release.version for revision in (await fleet.host("h3")).history]
    assert served == ["1.0.0", "3.0.0"]


async def test_a_host_that_was_away_while_the_fleet_went_back_does_not_go_forward(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%"), {"h1": NEVER})
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h3", HostStage.ROLLING))
    fleet.worlds["h3"].reachable = False
    state = await fleet.play(ended)
    assert phase(state) is Phase.ROLLED_BACK
    fleet.worlds["h3"].reachable = True
    await fleet.play(in_stage("h3", HostStage.RETURNED))
    await fleet.play_for(5.0)
    assert set((await fleet.versions()).values()) == {"1.0.0"}


async def test_nothing_is_proven_by_hosts_that_cannot_be_reached(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h1", HostStage.ROLLING))
    fleet.worlds["h1"].reachable = False
    state = await fleet.play_for(60.0)
    assert phase(state) is Phase.PROGRESSING
    assert state.rollout is not None
    assert "nothing is proven" in state.rollout.because
    assert await fleet.versions() == {"h1": (await fleet.versions())["h1"], "h2": "1.0.0", "h3": "1.0.0"}
    fleet.worlds["h1"].reachable = True
    assert phase(await fleet.play(ended)) is Phase.PROMOTED


async def test_hosts_known_to_be_away_come_in_the_last_wave(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"))
    await fleet.deployed("1.0.0")
    fleet.worlds["h1"].reachable = False
    await fleet.play_for(1.0)
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    assert state.rollout is not None
    assert [wave.hosts for wave in state.rollout.waves] == [("h2",), ("h3", "h1")]


async def test_a_host_that_takes_too_long_has_failed(tmp_path: Path) -> None:
    limits = replace(LIMITS, host_deadline_s=10.0, failed_share=60.0)
    slow = {"2.0.0": Behaviour(ready_after_s=25.0)}
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("100%", limits=limits), {"h2": slow})
    await fleet.deployed("1.0.0")
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    assert state.rollout is not None
    assert state.rollout.hosts["h2"].stage is HostStage.FAILED
    assert state.rollout.hosts["h2"].because == "not done within 10 s"
    await fleet.play_for(5.0)
    assert (await fleet.versions())["h2"] == "1.0.0"


async def test_a_host_that_sickens_while_the_wave_bakes_is_a_failure(tmp_path: Path) -> None:
    limits = replace(LIMITS, bake_s=60.0)
    dying = {"2.0.0": Behaviour(heartbeat_s=1.0, sick_after_s=12.0)}
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1", limits=limits), {"h1": dying})
    await fleet.deployed("1.0.0")
    fleet.worlds["h1"].behaviours = {**fleet.worlds["h1"].behaviours, **dying}
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.ROLLED_BACK
    assert (await fleet.versions())["h2"] == "1.0.0"
    assert (await fleet.versions())["h1"] == "1.0.0"


async def test_abort_takes_every_wave_back_and_waits_for_no_slow_host(tmp_path: Path) -> None:
    slow = {"2.0.0": Behaviour(ready_after_s=25.0)}
    fleet = await Fleet.begin(tmp_path / "t.db", 4, waves("2"), {"h3": slow, "h4": slow})
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h3", HostStage.ROLLING))
    fleet.worlds["h4"].reachable = False
    asked_at = fleet.now
    await fleet.ask(intents.Abort(), reason="wrong release")
    await fleet.turn()
    state = await fleet.play(ended)
    assert phase(state) is Phase.ABORTED
    assert fleet.now - asked_at < 20.0
    assert {name: version for name, version in (await fleet.versions()).items() if name != "h4"} == dict.fromkeys(
        ("h1", "h2", "h3"), "1.0.0"
    )
    fleet.worlds["h4"].reachable = True
    await fleet.play(in_stage("h4", HostStage.RETURNED))
    assert (await fleet.versions())["h4"] == "1.0.0"


async def test_pause_holds_the_hosts_too_and_resume_lets_them_go_on(tmp_path: Path) -> None:
    steps = Canary(steps=(SetWeight(50), PauseStep(5.0)), bake_s=2.0, drain_s=1.0)
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"), strategy=steps)
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.play(in_stage("h1", HostStage.ROLLING))
    await fleet.play_for(0.5)
    await fleet.ask(intents.Pause(), reason="a storm is coming")
    state = await fleet.play_for(60.0)
    assert phase(state) is Phase.PAUSED
    held = await fleet.host("h1")
    assert held.active is not None
    assert held.active.phase is Phase.PAUSED
    assert (await fleet.versions())["h2"] == "1.0.0"
    await fleet.ask(intents.Resume())
    await fleet.turn()
    assert phase(await fleet.play(ended)) is Phase.PROMOTED


async def test_promote_skips_the_bake_and_full_skips_every_bake(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1", "1", limits=replace(LIMITS, bake_s=1000.0)))
    await fleet.deploy("1.0.0")
    await fleet.turn()
    await fleet.play(in_phase(Phase.BAKING))
    await fleet.ask(intents.Promote())
    await fleet.turn()
    state = await fleet.play(in_phase(Phase.BAKING))
    assert state.rollout is not None
    assert state.rollout.wave == 1
    await fleet.ask(intents.Promote(full=True))
    await fleet.turn()
    assert phase(await fleet.play(ended, limit_s=60.0)) is Phase.PROMOTED


async def test_undo_goes_back_everywhere_at_once(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 5, waves("1", "2"))
    await fleet.deployed("1.0.0")
    await fleet.deployed("2.0.0")
    began = fleet.now
    await fleet.ask(intents.Undo())
    await fleet.turn()
    state = await fleet.play(ended)
    assert phase(state) is Phase.PROMOTED
    assert state.stable is not None
    assert state.stable.title == "3 = undo to 1 (1.0.0)"
    assert set((await fleet.versions()).values()) == {"1.0.0"}
    assert fleet.now - began < 10.0


async def test_a_first_release_that_fails_stops_with_nothing_to_go_back_to(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"), {"h2": {"1.0.0": BAD}})
    state = await fleet.deployed("1.0.0")
    assert phase(state) is Phase.FAILED
    assert state.stable is None
    assert (await fleet.versions())["h1"] == "1.0.0"
    fleet.worlds["h2"].behaviours = {}
    await fleet.ask(intents.Retry(override_quarantine=True), reason="the host is mended")
    await fleet.turn()
    assert phase(await fleet.play(ended)) is Phase.PROMOTED


async def test_a_second_release_during_a_rollout_is_refused(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"))
    await fleet.deploy("1.0.0")
    await fleet.turn()
    again = await fleet.deploy("2.0.0")
    await fleet.turn()
    answer = await fleet.state.store.answer(again)
    assert answer is not None
    assert not answer.accepted
    assert "is under way" in answer.because


async def test_a_host_moved_by_hand_is_told_and_left_alone(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("100%"))
    await fleet.deployed("1.0.0")
    await fleet.deployed("2.0.0")
    await fleet.ask(intents.Undo(), host="h1")
    await fleet.turn()
    state = await fleet.play(in_stage("h1", HostStage.FAILED))
    assert state.rollout is not None
    assert "somebody moved it" in state.rollout.hosts["h1"].because
    await fleet.play_for(5.0)
    assert await fleet.versions() == {"h1": "1.0.0", "h2": "2.0.0"}


async def test_a_new_host_gets_what_is_current_with_the_next_release(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1"))
    await fleet.deploy("1.0.0", fleet=hosts(2))
    await fleet.turn()
    await fleet.play(ended)
    assert (await fleet.versions())["h3"] == ""
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    assert (await fleet.versions())["h3"] == "2.0.0"


async def test_an_environment_that_was_one_host_is_not_made_a_fleet_by_surprise(tmp_path: Path) -> None:
    from tests.memory import Tidegate

    single = await Tidegate.begin(tmp_path / "t.db")
    await single.deployed("1.0.0")
    await single.state.close()
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1"))
    asked = await fleet.deploy("2.0.0")
    await fleet.turn()
    answer = await fleet.state.store.answer(asked)
    assert answer is not None
    assert not answer.accepted
    assert "decommission" in answer.because
    assert KEY.fleet == KEY


async def test_a_wave_bakes_as_long_as_somebody_watches(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("1", "1"))
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    await fleet.turn()
    await fleet.play(in_phase(Phase.BAKING))
    await fleet.restart()  # as long as a dead controller's lease, which is longer than the bake
    fleet.advance(3600.0)
    await fleet.turn()
    state = await fleet.look()
    assert phase(state) is Phase.BAKING
    assert phase(await fleet.play(ended)) is Phase.PROMOTED


async def test_a_last_wave_that_nobody_can_reach_holds_nothing_up_and_catches_up(tmp_path: Path) -> None:
    fleet = await Fleet.begin(tmp_path / "t.db", 3, waves("1", "1", "1"))
    await fleet.deployed("1.0.0")
    fleet.worlds["h3"].reachable = False
    await fleet.play_for(1.0)
    state = await fleet.deployed("2.0.0")
    assert phase(state) is Phase.PROMOTED
    fleet.worlds["h3"].reachable = True
    await fleet.play(in_stage("h3", HostStage.DONE))
    assert set((await fleet.versions()).values()) == {"2.0.0"}


async def test_a_host_that_catches_up_takes_what_was_accepted_as_breaking(tmp_path: Path) -> None:
    disk = InPlace(bake_s=1.0)
    fleet = await Fleet.begin(tmp_path / "t.db", 2, waves("2"), strategy=disk)
    await fleet.deployed("1.0.0")
    fleet.worlds["h2"].reachable = False
    await fleet.play_for(1.0)
    await fleet.deploy("2.0.0", accept_breaking=True)
    await fleet.play(ended)
    fleet.worlds["h2"].reachable = True
    await fleet.play(in_stage("h2", HostStage.DONE))
    assert set((await fleet.versions()).values()) == {"2.0.0"}


async def test_a_host_that_waits_for_a_person_is_not_late(tmp_path: Path) -> None:
    steps = Canary((SetWeight(50), PauseStep()), bake_s=1.0, drain_s=1.0)
    fleet = await Fleet.begin(tmp_path / "t.db", 1, waves("1"), strategy=steps)
    await fleet.deployed("1.0.0")
    await fleet.deploy("2.0.0")
    state = await fleet.play_for(10 * LIMITS.host_deadline_s)
    assert phase(state) is Phase.PROGRESSING
    await fleet.ask(intents.Promote())
    assert phase(await fleet.play(ended)) is Phase.PROMOTED
