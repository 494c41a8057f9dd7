"""in_place told as stories on the memory platform: one instance, a published port, a volume, no second copy ever."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import Tidegate, in_phase, phase_of, release, workload
from tidegate.adapters.platform.memory.world import Behaviour, Deed
from tidegate.controller.loop import Turn
from tidegate.model import intent
from tidegate.model.event import Event, EventKind
from tidegate.model.observation import InstanceState
from tidegate.model.rollout import PauseKind, Phase
from tidegate.model.spec import BackedUp, InPlace, Verify, VersionIn
from tidegate.model.workload import Mount, MountKind, PublishedPort

FORMER, NEXT = "agent.prod.r1.1", "agent.prod.r2.1"
SWAP = InPlace((BackedUp("data"),), bake_s=3.0, verify=Verify(deadline_s=5.0))
ONE = workload(1, routes=False, ports=(PublishedPort(9000, 9000),), mounts=(Mount(MountKind.VOLUME, "/data", "data"),))


async def begin(tmp_path: Path, strategy: InPlace = SWAP, **behaviours: Behaviour) -> Tidegate:
    """Version 1.0.0 runs; keyword names stand for versions, with _ for a dot."""
    named = {name.replace("_", ".").lstrip("v"): behaviour for name, behaviour in behaviours.items()}
    tide = await Tidegate.begin(tmp_path / "t.db", named, strategy=strategy, base=ONE)
    await tide.deployed("1.0.0")
    return tide


def running(tide: Tidegate) -> list[str]:
    return [name for name, c in tide.world.containers.items() if c.state is InstanceState.RUNNING]


async def of_kind(tide: Tidegate, kind: EventKind) -> list[Event]:
    return [event for event in await tide.events() if event.kind is kind]


async def test_a_good_release_takes_the_place_and_only_then_the_former_one_goes(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    seen: list[tuple[Phase | None, tuple[str, ...], bool]] = []

    def watch(turn: Turn) -> bool:
        seen.append((phase_of(turn.decision.state), tuple(running(tide)), FORMER in tide.world.containers))
        return turn.settled and phase_of(turn.decision.state) is Phase.PROMOTED

    await tide.deploy("1.1.0")
    await tide.play(watch)
    assert all(len(up) <= 1 for _, up, _ in seen)
    assert all(kept for phase, _, kept in seen if phase is not Phase.PROMOTED)
    assert list(tide.world.containers) == [NEXT]
    assert tide.world.runs == ["measure-r2", "backup-r2"]
    assert tide.world.jobs == {}


async def test_the_downtime_is_measured_and_told_with_the_backups_part(tmp_path: Path) -> None:
    tide = await begin(tmp_path, v1_1_0=Behaviour(ready_after_s=0.5))
    tide.world.deeds = {"backup": Deed(seconds=2.0, log=("backup of data: 7 bytes, 900 KiB free",))}
    await tide.deployed("1.1.0")
    (down,) = await of_kind(tide, EventKind.DOWNTIME)
    assert down.data["backup_s"] == pytest.approx(2.0, abs=0.4)
    assert down.data["downtime_s"] == pytest.approx(2.5, abs=0.8)
    assert "nothing served for" in down.because
    assert any("7 bytes, 900 KiB free" in event.because for event in await of_kind(tide, EventKind.TASK))


async def test_everything_is_made_ready_before_stable_stops(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.STOPPING))
    assert tide.world.containers[NEXT].state is InstanceState.CREATED
    assert any("backup-r2" in name for name in tide.world.jobs)


async def test_a_release_that_never_gets_ready_leaves_the_former_container_as_it_was(tmp_path: Path) -> None:
    tide = await begin(tmp_path, bad=Behaviour(ready_after_s=None))
    former = tide.world.containers[FORMER]
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert list(tide.world.containers) == [FORMER]
    assert tide.world.containers[FORMER] is former
    assert (former.state, former.started) == (InstanceState.RUNNING, 2)
    assert not any("put-back" in name for name in tide.world.runs)


async def test_a_volume_that_was_not_opted_in_is_left_and_the_way_to_its_backup_told(tmp_path: Path) -> None:
    tide = await begin(tmp_path, bad=Behaviour(ready_after_s=None))
    await tide.deployed("bad")
    told = (await of_kind(tide, EventKind.DOWNTIME))[-1].because
    assert "data as the candidate left it: tidegate backup restore " in told


async def test_a_volume_that_was_opted_in_is_put_back_while_nothing_runs(tmp_path: Path) -> None:
    strategy = replace(SWAP, volumes=(BackedUp("data", restore=True),))
    tide = await begin(tmp_path, strategy, bad=Behaviour(exits_after_s=0.1))
    tide.world.deeds = {"put-back": Deed(log=("restored from X: data (3 files of 9 bytes, written since, are gone)",))}
    states: list[list[str]] = []
    tide.world.on_call = lambda when, operation: (
        states.append(running(tide)) if when == "after" and "put-back" in str(operation) else None
    )
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert tide.world.runs == ["measure-r2", "backup-r2", "put-back-r2"]
    assert states[0] == []
    assert "3 files of 9 bytes" in (await of_kind(tide, EventKind.DOWNTIME))[-1].because


async def test_a_fatal_line_in_the_log_turns_back_at_once(tmp_path: Path) -> None:
    tide = await begin(tmp_path, bad=Behaviour(log=("starting", "FATAL: schema 7 is not known")))
    turn = await tide.deployed("bad")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "schema 7 is not known" in rollout.fault
    assert running(tide) == [FORMER]


@pytest.mark.parametrize(
    ("where", "good", "bad"),
    [
        (VersionIn.LOG, Behaviour(log=("agent 1.1.0 is up",)), Behaviour(log=("agent 1.0.9 is up",))),
        (VersionIn.LABEL, Behaviour(version="v1.1.0"), Behaviour(version="1.0.9")),
    ],
)
async def test_the_version_is_looked_for_where_it_was_asked_for(
    tmp_path: Path, where: VersionIn, good: Behaviour, bad: Behaviour
) -> None:
    verify = Verify(version_in=where, expected="agent {version}", deadline_s=2.0)
    for name, behaviour, end in (("good", good, Phase.PROMOTED), ("bad", bad, Phase.ROLLED_BACK)):
        (tmp_path / name).mkdir()
        tide = await begin(tmp_path / name, SWAP)
        tide.strategy = replace(SWAP, verify=verify)
        tide.world.behaviours = {"1.1.0": behaviour}
        turn = await tide.deployed("1.1.0")
        assert phase_of(turn.decision.state) is end


async def test_heartbeats_are_expected_of_whom_they_were_heard_before(tmp_path: Path) -> None:
    tide = await begin(tmp_path, v1_0_0=Behaviour(heartbeat_s=1.0), mute=Behaviour())
    turn = await tide.deployed("mute")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "no heartbeat" in rollout.fault


async def test_with_routes_the_gateway_moves_with_the_instance(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(error_share=0.5)}, strategy=SWAP, base=workload(1))
    await tide.deployed("1.0.0")
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    turn = await tide.deployed("bad")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert running(tide) == [NEXT]
    assert len(await of_kind(tide, EventKind.DOWNTIME)) == 3


async def test_no_room_for_the_backup_is_found_before_anything_stops(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    tide.world.deeds = {"measure": Deed(exit_code=28, log=("no room for the backup: 9 KiB needed, 1 KiB free",))}
    turn = await tide.deployed("1.1.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "no room for the backup" in rollout.fault
    assert tide.world.containers[FORMER].started == 1
    assert not await of_kind(tide, EventKind.DOWNTIME)


@pytest.mark.parametrize(
    "deed", [Deed(exit_code=1), Deed(seconds=1e9), Deed(vanishes=True)], ids=["fails", "hangs", "vanishes"]
)
async def test_a_backup_that_does_not_succeed_brings_the_former_one_back(tmp_path: Path, deed: Deed) -> None:
    tide = await begin(tmp_path, replace(SWAP, backup_timeout_s=5.0))
    tide.world.deeds = {"backup": deed}
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert running(tide) == [FORMER]
    assert tide.world.runs.count("backup-r2") == (3 if deed.vanishes else 1)
    assert tide.world.jobs == {}


async def test_a_major_version_needs_a_persons_word(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    refused = await tide.deploy("2.0.0")
    await tide.play(lambda turn: turn.settled, 5)
    answer = await tide.state.store.answer(refused)
    assert answer is not None
    assert not answer.accepted
    assert "--accept-breaking" in answer.because
    await tide.deploy("2.0.0", accept_breaking=True)
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_release_notes_that_say_breaking_need_a_persons_word(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    made = release("1.1.0", tide.base)
    told = replace(made, provenance=replace(made.provenance, breaking="the old log format is gone"))
    plan = (tide.strategy, tide.analysis, tide.rollback, tide.policy)
    answer = await tide.answer(await tide.ask(intent.Deploy(told, tide.base, *plan)))
    assert not answer.accepted
    assert "1.1.0 breaks by its release notes (the old log format is gone)" in answer.because
    await tide.ask(intent.Deploy(told, tide.base, *plan, accept_breaking=True))
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_an_image_that_says_it_breaks_waits_for_a_person_before_anything_stops(tmp_path: Path) -> None:
    tide = await begin(tmp_path, v1_1_0=Behaviour(label="true"))
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED))
    hold = turn.decision.state.rollout.hold if turn.decision.state.rollout else None
    assert hold is not None
    assert hold.kind is PauseKind.BREAKING
    assert running(tide) == [FORMER]
    await tide.ask(intent.Resume())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert turn.decision.state.rollout is not None
    assert turn.decision.state.rollout.breaking_accepted_by == "operator"


async def test_several_instances_are_refused_with_what_to_use(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    refused = await tide.deploy("1.1.0", replace(ONE, replicas=2))
    await tide.loop.turn()
    answer = await tide.state.store.answer(refused)
    assert answer is not None
    assert "max_surge 0" in answer.because


@pytest.mark.parametrize("phase", [Phase.STOPPING, Phase.BACKING_UP, Phase.STARTING, Phase.VERIFYING, Phase.BAKING])
async def test_abort_at_any_moment_brings_the_former_container_back(tmp_path: Path, phase: Phase) -> None:
    verify = Verify(version_in=VersionIn.LOG, deadline_s=60.0)
    tide = await begin(tmp_path, SWAP, v1_1_0=Behaviour(ready_after_s=1.0))
    tide.strategy = replace(SWAP, verify=verify if phase is Phase.VERIFYING else SWAP.verify)
    await tide.deploy("1.1.0")
    await tide.play(in_phase(phase))
    await tide.ask(intent.Abort())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ABORTED
    assert list(tide.world.containers) == [FORMER]
    assert running(tide) == [FORMER]


async def test_undo_goes_back_in_place(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    await tide.deployed("1.1.0")
    await tide.ask(intent.Undo())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert running(tide) == ["agent.prod.r3.1"]
    assert tide.world.runs[-1] == "backup-r3"


async def test_a_person_restores_a_backup(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    await tide.deployed("1.1.0")
    await tide.ask(intent.RestoreBackup("20250101T000000Z-r2"))
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.runs[-3:] == ["measure-r3", "backup-r3", "restore-r3"]


async def test_a_restore_that_fails_puts_back_what_was_there(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    tide.world.deeds = {"restore": Deed(exit_code=2, log=("there is no backup nonsense",))}
    await tide.ask(intent.RestoreBackup("nonsense"))
    turn = await tide.play()
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "there is no backup nonsense" in rollout.fault
    assert running(tide) == [FORMER]
    assert tide.world.runs[-1] == "put-back-r2"
    state = turn.decision.state
    assert state.quarantine == ()  # what serves is not to blame
    assert state.held is None


async def test_after_a_restore_undo_goes_to_the_release_before(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    await tide.deployed("1.1.0")
    await tide.ask(intent.RestoreBackup("20250101T000000Z-r2"))
    await tide.play()
    await tide.ask(intent.Undo())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.release.version == "1.0.0"
