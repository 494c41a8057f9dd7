"""Whole canary rollouts told as stories on the memory platform, with a fake clock and a real SQLite file."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.memory import KEY, QUICK, Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model import intent
from tidegate.model.errors import UnreachableError
from tidegate.model.event import EventKind
from tidegate.model.observation import InstanceState
from tidegate.model.operation import Operation, RestartInstance, StartInstance
from tidegate.model.rollout import Phase
from tidegate.model.spec import Analyse, Pause, SetWeight


def weights(world_events: list) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    return [(e.data["from"], e.data["to"]) for e in world_events if e.kind is EventKind.WEIGHT]


async def test_first_release_then_a_healthy_one_is_promoted(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    first = await tide.deployed("1.0.0")
    assert phase_of(first.decision.state) is Phase.PROMOTED
    second = await tide.deployed("1.1.0")
    assert phase_of(second.decision.state) is Phase.PROMOTED
    assert weights(await tide.events())[1:] == [(0, 10), (10, 50), (50, 100)]
    assert sorted(tide.world.containers) == [f"agent.prod.r2.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0


async def test_a_bad_release_goes_back_by_itself_and_says_why(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.2.0": Behaviour(error_share=0.05)})
    await tide.deployed("1.0.0")
    turn = await tide.deployed("1.2.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert "errors in" in rollout.fault
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0
    notice = [e.because for e in await tide.events() if e.kind is EventKind.NOTICE][-1]
    assert notice.startswith("Update taken back: agent.prod runs revision 1 (1.0.0) again")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(exits_after_s=0.2), "restarted 3 times"),
        (Behaviour(ready_after_s=None), "was not ready within 30 s"),
        (Behaviour(oom_after_s=1.0), "want of memory"),
        (Behaviour(image="no such image"), "no such image"),
        (Behaviour(refused="port 8080 is taken"), "port 8080 is taken"),
        (Behaviour(ready_after_s=0.3, sick_after_s=2.0), "no longer ready"),
    ],
)
async def test_hard_facts_end_a_rollout_while_stable_serves(tmp_path: Path, behaviour: Behaviour, words: str) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"2.0.0": behaviour})
    if behaviour.image != "present":
        tide.world.images["agent:2.0.0"] = behaviour.image
    await tide.deployed("1.0.0")
    turn = await tide.deployed("2.0.0")
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.ROLLED_BACK
    assert words in rollout.fault
    assert sorted(tide.world.containers) == [f"agent.prod.r1.{i}" for i in (1, 2, 3)]
    assert tide.world.lost == 0


async def test_no_traffic_is_inconclusive_and_waits_for_a_person(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    tide.world.requests_per_s = 0
    await tide.deploy("1.1.0")
    turn = await tide.play(in_phase(Phase.PAUSED))
    assert turn.decision.state.rollout is not None
    assert "nothing measured" in turn.decision.state.rollout.because
    await tide.ask(intent.Promote(full=True), by="grace", reason="quiet service")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_a_pause_for_a_person_and_resume(tmp_path: Path) -> None:
    strategy = replace(QUICK, steps=(SetWeight(20), Pause(), SetWeight(60), Pause(3.0), Analyse(3.0)))
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy)
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    turn = await tide.play(lambda turn: False, limit_s=60)
    assert phase_of(turn.decision.state) is Phase.PAUSED
    await tide.ask(intent.Resume())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_abort_retry_promote(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight))
    await tide.ask(intent.Abort(), reason="looks odd")
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ABORTED
    await tide.ask(intent.Retry())
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert turn.decision.state.stable is not None
    assert turn.decision.state.stable.number == 3
    assert tide.world.lost == 0


async def test_undo_goes_back_to_image_and_configuration(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.deploy("1.0.0", workload(environment={"MODE": "new"}))
    await tide.play()
    await tide.deployed("1.1.0")
    await tide.ask(intent.Undo(to_revision=1))
    turn = await tide.play()
    stable = turn.decision.state.stable
    assert stable is not None
    assert (stable.number, stable.undo_of, stable.workload.environment) == (4, 1, {})
    assert stable.title == "4 = undo to 1 (1.0.0)"


async def test_a_second_deploy_during_a_rollout_is_refused_with_the_reason(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.loop.turn()
    refused = await tide.deploy("1.2.0")
    await tide.loop.turn()
    answer = await tide.state.store.answer(refused)
    assert answer is not None
    assert not answer.accepted
    assert "under way" in answer.because


async def test_an_unreachable_engine_stops_the_deadlines(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.1.0": Behaviour(ready_after_s=20.0)})
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.STARTING))
    tide.world.reachable = False
    turn = await tide.play(lambda turn: False, limit_s=120)
    assert phase_of(turn.decision.state) is Phase.STARTING
    tide.world.reachable = True
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_an_instance_removed_by_hand_comes_back(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    del tide.world.containers["agent.prod.r1.2"]
    turn = await tide.play(lambda turn: turn.settled and len(tide.world.containers) == 3, limit_s=10)
    assert turn.settled
    assert "agent.prod.r1.2" in tide.world.containers


async def test_scale_and_rolling_restart(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.ask(intent.Scale(5))
    await tide.play(lambda turn: turn.settled and len(tide.world.containers) == 5, limit_s=10)
    await tide.ask(intent.Restart())
    turn = await tide.play(lambda turn: all(c.started == 2 for c in tide.world.containers.values()), limit_s=60)
    assert all(c.started == 2 for c in tide.world.containers.values())
    assert turn.decision.state.key == KEY


async def test_a_sick_instance_of_stable_is_restarted_with_back_off(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.0.0": Behaviour(sick_after_s=30.0)})
    await tide.deployed("1.0.0")
    await tide.play(lambda turn: False, limit_s=100)
    assert all(c.started >= 2 for c in tide.world.containers.values())
    assert any(e.kind is EventKind.RESTART for e in await tide.events())


async def test_without_routes_the_share_of_instances_is_the_canary(tmp_path: Path) -> None:
    strategy = replace(QUICK, steps=(SetWeight(34), Pause(5.0)))
    tide = await Tidegate.begin(tmp_path / "t.db", strategy=strategy, base=workload(routes=False))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PAUSED))
    await tide.play(lambda turn: turn.settled, limit_s=2)
    states = {name: c.state for name, c in tide.world.containers.items()}
    running = [name for name, state in states.items() if state is InstanceState.RUNNING]
    assert len(running) == 3
    assert len([name for name in running if ".r2." in name]) == 2
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert sorted(tide.world.containers) == [f"agent.prod.r2.{i}" for i in (1, 2, 3)]


async def test_decommission_leaves_nothing(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.ask(intent.Decommission())
    await tide.play(lambda turn: turn.settled and not tide.world.containers, limit_s=10)
    assert not tide.world.containers
    assert tide.world.routes[KEY] == ()


async def test_an_instance_that_exits_for_good_is_started_again_with_back_off(tmp_path: Path) -> None:
    base = workload(1, restart="no")
    tide = await Tidegate.begin(tmp_path / "t.db", base=base)
    await tide.deployed("1.0.0")
    tide.world.behaviours = {"1.0.0": Behaviour(exits_after_s=0.2)}
    await tide.play(lambda turn: tide.world.containers["agent.prod.r1.1"].started == 6, limit_s=120)
    told = [event for event in await tide.events() if event.kind is EventKind.RESTART]
    gaps = [later.at - earlier.at for earlier, later in pairwise(told)]
    assert len(told) == 5
    assert "exited with 1: restart 1, the next not before 1 s" in told[0].because
    for gap, pause in zip(gaps, (1, 2, 4, 8), strict=True):
        assert pause <= gap < pause + 3


@pytest.mark.parametrize(("then", "good", "end"), [(1, False, 3), (1, True, 1), (5, False, 3), (5, True, 5)])
async def test_a_release_with_another_number_of_instances(tmp_path: Path, then: int, good: bool, end: int) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"1.1.0": Behaviour(error_share=0.0 if good else 0.2)})
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0", workload(then))
    await tide.play(in_phase(Phase.PROGRESSING))
    running = [c for c in tide.world.containers.values() if c.state is InstanceState.RUNNING]
    assert sum(".r1." in c.name for c in running) >= 3, "nothing that serves goes before its successor proves itself"
    turn = await tide.play()
    assert turn.decision.state.replicas == end
    assert sorted(tide.world.containers) == [f"agent.prod.r{1 + good}.{i}" for i in range(1, end + 1)]


@pytest.mark.parametrize("replicas", [2, 3])
async def test_a_restart_takes_each_instance_out_of_the_routes_first(tmp_path: Path, replicas: int) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", base=workload(replicas))
    await tide.deployed("1.0.0")
    routed_at_restart = []

    def look(when: str, operation: Operation) -> None:
        if when == "before" and isinstance(operation, RestartInstance):
            address = tide.world.containers[operation.name].address
            goals = tide.world.routes[KEY]
            routed_at_restart.append(any(e.address == address for g in goals for b in g.backends for e in b.endpoints))

    tide.world.on_call = look
    await tide.ask(intent.Restart())
    await tide.play(lambda turn: turn.settled and not turn.decision.state.restart_of, limit_s=60)
    assert routed_at_restart == [False] * replicas
    assert tide.world.lost == 0


async def test_an_engine_that_goes_away_in_mid_call_is_not_the_candidates_fault(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    cut = []

    def cut_off(when: str, operation: Operation) -> None:
        if isinstance(operation, StartInstance) and ".r2." in operation.name and len(cut) < 6:
            cut.append(operation.name)
            raise UnreachableError("the engine does not answer")

    tide.world.on_call = cut_off
    turn = await tide.deployed("1.1.0")
    assert len(cut) == 6
    assert phase_of(turn.decision.state) is Phase.PROMOTED


async def test_the_same_deploy_once_more_carries_on_with_what_is_under_way(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db")
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0")
    await tide.play(in_phase(Phase.PROGRESSING))
    again = await tide.deploy("1.1.0")
    turn = await tide.play()
    answer = await tide.state.store.answer(again)
    assert answer is not None
    assert answer.accepted
    assert answer.revision == 2
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert turn.decision.state.next_revision == 3
