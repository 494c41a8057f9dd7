"""What the gateway is told."""

from tidegate.adapters.gateway.planning import plan
from tidegate.model.desired import Backend, Desired, Endpoint, RouteGoal
from tidegate.model.observation import ObservedGateway
from tidegate.model.operation import describe
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route

KEY = AgentKey("web", "prod")
A, B = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


def goals(weight: int, *endpoints: Endpoint) -> tuple[RouteGoal, ...]:
    return (RouteGoal(Route(80, 8080), (Backend(1, 100 - weight, endpoints), Backend(2, weight, endpoints))),)


def told(routes: tuple[RouteGoal, ...], observed: ObservedGateway, because: str = "") -> list[str]:
    return [describe(operation) for operation in plan(Desired(KEY, routes=routes, because=because), observed)]


def test_nothing_to_do() -> None:
    assert told(goals(10, A, B), ObservedGateway(True, goals(10, B, A))) == []
    assert told((), ObservedGateway(running=False)) == []
    assert told((), ObservedGateway(running=True)) == []


def test_routes_that_differ_are_handed_over_with_the_cause() -> None:
    assert told(goals(20, A), ObservedGateway(True, goals(10, A)), "step 2") == [
        "route web.prod: r1 80 %, r2 20 % (step 2)"
    ]
    assert told(goals(10, A), ObservedGateway(True, goals(10, A, B))) == [
        "route web.prod: r1 90 %, r2 10 % (routes differ from those in force: changed http:80*/)"
    ]
    assert told((), ObservedGateway(True, goals(10, A))) == [
        "route web.prod: nothing (routes differ from those in force: gone http:80*/)"
    ]


def test_the_gateway_is_started_when_routes_need_it() -> None:
    assert told(goals(0, A), ObservedGateway(running=False), "first release") == [
        "start gateway (web.prod has routes and no gateway runs on the host)",
        "route web.prod: r1 100 %, r2 0 % (first release)",
    ]
