"""Hooks told as stories: at most once for a release, and never a guess about what nobody knows."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.memory import Tidegate, in_phase, phase_of
from tidegate.adapters.platform.memory.world import Behaviour, Deed
from tidegate.model import intent
from tidegate.model.operation import Operation, StartTask
from tidegate.model.rollout import PauseKind, Phase
from tidegate.model.spec import Hook, Hooks, OnFail

MIGRATE = Hook("migrate", ("python", "migrate.py"), timeout_s=20.0)
PRE = Hooks(pre=(MIGRATE,))


class Killed(BaseException):
    """kill -9."""


async def begin(tmp_path: Path, hooks: Hooks = PRE, **behaviours: Behaviour) -> Tidegate:
    tide = await Tidegate.begin(tmp_path / "t.db", behaviours)
    await tide.deployed("1.0.0")
    tide.hooks = hooks
    return tide


async def test_hooks_run_in_order_before_and_after(tmp_path: Path) -> None:
    tide = await begin(tmp_path, Hooks((MIGRATE, Hook("warm", ("warm",))), (Hook("tell", url="https://a.example/x"),)))
    instances: list[int] = []
    tide.world.on_call = lambda when, operation: (
        instances.append(len(tide.world.containers)) if when == "after" and isinstance(operation, StartTask) else None
    )
    turn = await tide.deployed("1.1.0")
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.runs == ["migrate", "warm", "tell"]
    assert instances == [3, 3, 6]


async def test_a_failing_hook_ends_the_rollout_before_anything_changed(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    tide.world.deeds = {"migrate": Deed(exit_code=1, log=("connecting", "relation users is locked"))}
    turn = await tide.deployed("1.1.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "hook migrate failed: exit code 1: relation users is locked" in rollout.fault
    assert all(c.started == 1 for c in tide.world.containers.values())


@pytest.mark.parametrize(("on_fail", "end"), [(OnFail.NOTIFY, Phase.PROMOTED), (OnFail.PAUSE, Phase.PAUSED)])
async def test_on_fail_says_what_a_failure_does(tmp_path: Path, on_fail: OnFail, end: Phase) -> None:
    tide = await begin(tmp_path, Hooks(pre=(replace(MIGRATE, on_fail=on_fail),)))
    tide.world.deeds = {"migrate": Deed(exit_code=1)}
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(end))
    assert phase_of(turn.decision.state) is end


async def test_a_hook_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    tide.world.deeds = {"migrate": Deed(seconds=1e9)}
    turn = await tide.deployed("1.1.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "did not end within 20 s" in rollout.fault
    assert tide.world.jobs == {}


async def test_a_hook_that_vanished_after_a_crash_stops_for_a_person(tmp_path: Path) -> None:
    tide = await begin(tmp_path)
    tide.world.deeds = {"migrate": Deed(vanishes=True)}

    def kill(when: str, operation: Operation) -> None:
        if when == "after" and isinstance(operation, StartTask):
            raise Killed

    tide.world.on_call = kill
    await tide.deploy("1.1.0")
    with pytest.raises(Killed):
        await tide.play()
    tide.world.on_call = lambda when, operation: None
    await tide.restart()
    turn = await tide.play(in_phase(Phase.PAUSED))
    hold = turn.decision.state.rollout.hold if turn.decision.state.rollout else None
    assert hold is not None
    assert hold.kind is PauseKind.TASK
    assert "outcome of hook migrate is unknown" in hold.because
    await tide.play(lambda turn: False, limit_s=60)
    assert tide.world.runs == ["migrate"]
    await tide.ask(intent.Resume(), by="ada")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.runs == ["migrate"]


async def test_a_controller_killed_before_the_start_starts_it_once(tmp_path: Path) -> None:
    tide = await begin(tmp_path)

    def kill(when: str, operation: Operation) -> None:
        if when == "before" and isinstance(operation, StartTask):
            raise Killed

    tide.world.on_call = kill
    await tide.deploy("1.1.0")
    with pytest.raises(Killed):
        await tide.play()
    tide.world.on_call = lambda when, operation: None
    await tide.restart()
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.runs == ["migrate"]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_web_hook_in_flight_dies_with_its_controller(tmp_path: Path, repeatable: bool) -> None:
    tide = await begin(tmp_path, Hooks(pre=(Hook("tell", url="https://a.example/x", repeatable=repeatable),)))
    tide.world.deeds = {"tell": Deed(seconds=5.0)}
    await tide.deploy("1.1.0")
    await tide.play(lambda turn: tide.world.runs == ["tell"])
    await tide.restart()
    turn = await tide.play(in_phase(Phase.PROMOTED, Phase.PAUSED))
    assert phase_of(turn.decision.state) is (Phase.PROMOTED if repeatable else Phase.PAUSED)
    assert tide.world.runs == (["tell", "tell"] if repeatable else ["tell"])


async def test_a_migration_that_succeeded_does_not_run_again_for_its_release(tmp_path: Path) -> None:
    tide = await begin(tmp_path, PRE, bad=Behaviour(ready_after_s=None))
    await tide.deployed("bad")
    tide.world.behaviours = {}
    await tide.ask(intent.Retry(override_quarantine=True), reason="the host was at fault")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert tide.world.runs == ["migrate"]
