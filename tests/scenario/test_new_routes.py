"""A release that brings a route, or moves one to another port: it is there with the first weight, and gone with it."""

from pathlib import Path

import pytest

from tests.memory import KEY, Tidegate, in_phase, phase_of, workload
from tidegate.adapters.platform.memory.world import Behaviour
from tidegate.model import intent
from tidegate.model.errors import GatewayError
from tidegate.model.operation import ApplyRoutes, Operation
from tidegate.model.rollout import Phase
from tidegate.model.spec import BlueGreen, Canary, Rollback, Rolling
from tidegate.model.workload import Route, Workload

MOVED = Workload(replicas=3, routes=(Route(9090, 80),))
ADDED = Workload(replicas=3, routes=(Route(8080, 80), Route(9090, 80)))


def listens(tide: Tidegate) -> set[int]:
    return {goal.route.listen for goal in tide.world.routes[KEY] if any(b.weight for b in goal.backends)}


@pytest.mark.parametrize("after", [MOVED, ADDED])
@pytest.mark.parametrize("strategy", [None, Rolling(bake_s=2.0, drain_s=1.0), BlueGreen(bake_s=3.0, drain_s=1.0)])
async def test_it_is_promoted(tmp_path: Path, after: Workload, strategy: Canary | Rolling | BlueGreen | None) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", **({"strategy": strategy} if strategy else {}))
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0", after)
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.PROMOTED
    assert listens(tide) == {route.listen for route in after.routes}


@pytest.mark.parametrize("after", [MOVED, ADDED])
async def test_a_bad_one_goes_back_and_its_route_with_it(tmp_path: Path, after: Workload) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", {"bad": Behaviour(exits_after_s=3.0)})
    await tide.deployed("1.0.0")
    await tide.deploy("bad", after)
    turn = await tide.play()
    assert phase_of(turn.decision.state) is Phase.ROLLED_BACK
    assert listens(tide) == {8080}


async def test_a_port_that_the_gateway_cannot_have_is_a_persons_matter(tmp_path: Path) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", rollback=Rollback(switch_deadline_s=20.0))
    await tide.deployed("1.0.0")

    def refuse(when: str, operation: Operation) -> None:
        if isinstance(operation, ApplyRoutes) and any(goal.route.listen == 9090 for goal in operation.routes):
            raise GatewayError("port 9090 of the gateway's host is taken by process 7 (nc)")

    tide.world.on_call = refuse
    await tide.deploy("1.1.0", ADDED)
    begun = tide.world.now
    turn = await tide.play(in_phase(Phase.PAUSED), limit_s=100)
    rollout = turn.decision.state.rollout
    assert rollout is not None
    assert "did not apply 10 % within 20 s: port 9090" in rollout.because
    assert tide.world.now - begun < 40
    await tide.ask(intent.Abort())
    assert phase_of((await tide.play(limit_s=60)).decision.state) is Phase.ABORTED
    assert listens(tide) == {8080}
    assert tide.world.lost == 0


@pytest.mark.parametrize("after", [MOVED, ADDED])
async def test_an_abort_ends_it(tmp_path: Path, after: Workload) -> None:
    tide = await Tidegate.begin(tmp_path / "t.db", base=workload())
    await tide.deployed("1.0.0")
    await tide.deploy("1.1.0", after)
    await tide.play(lambda turn: bool(turn.decision.state.active and turn.decision.state.active.weight))
    await tide.ask(intent.Abort(), reason="wrong port")
    turn = await tide.play(limit_s=30)
    assert phase_of(turn.decision.state) is Phase.ABORTED
    assert listens(tide) == {8080}
