"""ports.Gateway: what every gateway must do, asked of each adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.engine import Engine
from tidegate.adapters.gateway.envoy import EnvoyGateway
from tidegate.adapters.platform.memory.platform import MemoryGateway
from tidegate.adapters.platform.memory.world import World
from tidegate.model.desired import Backend, Desired, Endpoint, RouteGoal
from tidegate.model.errors import LeaseLostError
from tidegate.model.observation import Observation
from tidegate.model.operation import ApplyRoutes, StartGateway
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route
from tidegate.ports import Gateway

KEY, OTHER = AgentKey("web", "prod"), AgentKey("other", "prod")
A, B = Endpoint("127.0.0.1", 9), Endpoint("127.0.0.2", 9)
ROUTE = Route(8080, 9)


@pytest.fixture(params=["memory", pytest.param("envoy", marks=pytest.mark.engine)])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    if request.param == "memory":
        yield MemoryGateway(World())
        return
    engine: Engine = request.getfixturevalue("engine")
    docker = engine.aiodocker()
    envoy = EnvoyGateway(docker)
    try:
        yield envoy
    finally:
        await envoy.close()
        await docker.close()


def share(weight: int, route: Route = ROUTE) -> tuple[RouteGoal, ...]:
    return (RouteGoal(route, (Backend(1, 100 - weight, (A,)), Backend(2, weight, (A, B)))),)


def wanted(*routes: RouteGoal, key: AgentKey = KEY) -> Desired:
    return Desired(key, routes=routes, because="the test says so")


async def settle(gateway: Gateway, desired: Desired) -> Observation:
    """Turns of the loop until nothing is left to do; two are enough, the first may only start the gateway."""
    for _ in range(3):
        observed = Observation(0.0, gateway=await gateway.observe(desired.key))
        operations = gateway.plan(desired, observed)
        if not operations:
            return observed
        for operation in operations:
            await gateway.execute(operation)
    pytest.fail(f"still to do: {operations}")


async def test_an_absent_gateway_is_seen_and_not_started_for_nothing(gateway: Gateway) -> None:
    seen = await gateway.observe(KEY)
    assert not seen.running
    assert seen.routes == ()
    assert gateway.plan(wanted(), Observation(0.0, gateway=seen)) == ()


async def test_it_is_started_and_handed_the_routes(gateway: Gateway) -> None:
    seen = (await settle(gateway, wanted(*share(10)))).gateway
    assert seen.running
    assert seen.routes == share(10)
    assert seen.endpoints(2) == {A, B}
    assert all(count == 0 for count in seen.active.values())


async def test_weights_change_in_one_operation_that_says_why(gateway: Gateway) -> None:
    observed = await settle(gateway, wanted(*share(10)))
    [operation] = gateway.plan(wanted(*share(50)), observed)
    assert operation == ApplyRoutes(KEY, share(50), operation.because)
    assert operation.because
    await gateway.execute(operation)
    assert (await gateway.observe(KEY)).routes == share(50)


async def test_doing_it_twice_is_harmless(gateway: Gateway) -> None:
    await settle(gateway, wanted(*share(10)))
    for operation in (StartGateway("again"), ApplyRoutes(KEY, share(10), "again")):
        await gateway.execute(operation)
        await gateway.execute(operation)
    assert (await gateway.observe(KEY)).routes == share(10)


async def test_agents_do_not_touch_each_other(gateway: Gateway) -> None:
    below = Route(8080, 9, path="/below")
    await settle(gateway, wanted(*share(10)))
    await settle(gateway, wanted(*share(70, below), key=OTHER))
    assert (await gateway.observe(KEY)).routes == share(10)
    await settle(gateway, wanted())
    assert (await gateway.observe(KEY)).routes == ()
    assert (await gateway.observe(OTHER)).routes == share(70, below)


async def test_counters_begin_at_nothing(gateway: Gateway) -> None:
    await settle(gateway, wanted(*share(10)))
    assert all(traffic.requests == traffic.errors == 0 for traffic in (await gateway.counters(KEY)).values())


async def test_an_endpoint_that_leaves_is_not_sent_anything(gateway: Gateway) -> None:
    await settle(gateway, wanted(*share(100)))
    [goal] = share(100)
    fewer = replace(goal, backends=(goal.backends[0], Backend(2, 100, (A,))))
    assert (await settle(gateway, wanted(fewer))).gateway.endpoints(2) == {A}


@pytest.mark.engine
async def test_whoever_comes_with_a_lower_epoch_is_refused(engine: Engine) -> None:
    docker = engine.aiodocker()
    former, later = EnvoyGateway(docker), EnvoyGateway(docker)
    try:
        former.fence(1)
        await settle(former, wanted(*share(10)))
        later.fence(2)
        await settle(later, wanted(*share(20)))
        with pytest.raises(LeaseLostError):
            await former.execute(ApplyRoutes(KEY, share(90), "late"))
        assert (await later.observe(KEY)).routes == share(20)
    finally:
        await former.close()
        await later.close()
        await docker.close()
