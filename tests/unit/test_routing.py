"""Who gets requests: nobody who is not ready, and nobody is put out for want of news."""

from dataclasses import replace

import pytest

from tests.memory import release, workload
from tidegate.core.routing import Share, routes, spread
from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.observation import InstanceState, Observation, ObservedGateway, ObservedInstance
from tidegate.model.release import Revision

BASE = workload(1)
STABLE = Revision(1, "prod", release("1.0.0", BASE), BASE)
ONE = ObservedInstance("agent.prod.r1.1", 1, InstanceState.RUNNING, address="10.0.0.1")
SERVES = (Backend(1, 100, (Endpoint("10.0.0.1", 80),)),)


def backends(instance: ObservedInstance, gateway: ObservedGateway, proven: bool = True) -> tuple[Backend, ...]:
    seen = Observation(0.0, instances=(instance,), gateway=gateway)
    [goal] = routes([Share(STABLE, 100, proven)], seen, {ONE.name})
    return goal.backends


def test_a_controller_that_knows_nothing_yet_keeps_stable_in_the_routes() -> None:
    """It has just started: no probe has answered, and the gateway did not answer in time."""
    assert backends(ONE, ObservedGateway(running=False)) == SERVES


@pytest.mark.parametrize(
    ("instance", "gateway", "proven"),
    [
        (replace(ONE, ready=False), ObservedGateway(running=False), True),
        (replace(ONE, state=InstanceState.EXITED), ObservedGateway(running=False), True),
        (ONE, ObservedGateway(running=True), True),
        (ONE, ObservedGateway(running=False), False),
    ],
    ids=["known to be unready", "not running", "the gateway says it is not routed", "never had a request"],
)
def test_anything_that_is_known_counts(instance: ObservedInstance, gateway: ObservedGateway, proven: bool) -> None:
    assert backends(instance, gateway, proven) == ()


def test_what_the_gateway_routes_to_stays_until_its_probe_has_answered() -> None:
    gateway = ObservedGateway(running=True, routes=(RouteGoal(BASE.routes[0], SERVES),))
    assert backends(ONE, gateway) == SERVES


def test_weights_are_spread_over_those_that_can_serve() -> None:
    assert spread({1: 90, 2: 10}) == {1: 90, 2: 10}
    assert spread({2: 10}) == {2: 100}
    assert spread({1: 0, 2: 0}) == {1: 100, 2: 0}
