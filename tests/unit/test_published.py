"""A port of the host passes between instances that publish it and the gateway: refused, or said with its downtime."""

import pytest

from tidegate.core import published
from tidegate.core.refusal import RefusedError
from tidegate.model.desired import InstanceGoal, RouteGoal, Run
from tidegate.model.release import AgentKey, Image, Release, Revision
from tidegate.model.rollout import AgentState
from tidegate.model.spec import Canary, InPlace
from tidegate.model.workload import PortProtocol, PublishedPort, Route, Workload

ITSELF = Workload(ports=(PublishedPort(80, 8080),), stop_grace_s=7.0)
ROUTED = Workload(routes=(Route(80, 8080),))


def serving(workload: Workload) -> AgentState:
    release = Release("id", "web", "1.0.0", Image("web:1"), workload)
    return AgentState(AgentKey("web", "prod"), stable=Revision(1, "prod", release, workload))


def test_in_place_says_the_downtime_both_ways() -> None:
    there = published.passing(serving(ITSELF), ROUTED, InPlace())
    assert there.startswith(
        "port 80 passes from its own instances to the gateway: downtime of up to 7 s for revision 1"
    )
    back = published.passing(serving(ROUTED), ITSELF, InPlace())
    assert "from the gateway to its own instances" in back


def test_what_needs_both_at_once_is_refused_with_the_way_to_do_it() -> None:
    with pytest.raises(RefusedError, match="strategy in_place"):
        published.passing(serving(ITSELF), ROUTED, Canary())


@pytest.mark.parametrize(
    "after",
    [
        Workload(routes=(Route(81, 8080),)),
        Workload(ports=(PublishedPort(80, 8080),)),
        Workload(routes=(Route(53, 53),)),
    ],
)
def test_other_ports_and_protocols_pass_nothing(after: Workload) -> None:
    before = Workload(ports=(PublishedPort(80, 8080), PublishedPort(53, 53, PortProtocol.UDP), PublishedPort(0, 81)))
    assert published.passing(serving(before), after, Canary()) == ""
    assert published.passing(AgentState(AgentKey("web", "prod")), ROUTED, Canary()) == ""


def test_no_route_where_an_instance_listens_itself() -> None:
    revision = serving(ITSELF).stable
    assert revision is not None
    routes = (RouteGoal(Route(80, 8080), ()), RouteGoal(Route(81, 8080), ()))
    running = InstanceGoal("web.prod.r1.1", revision)
    assert published.unhindered(routes, [running]) == routes[1:]
    assert published.unhindered(routes, [InstanceGoal("web.prod.r1.1", revision, Run.STOPPED)]) == routes
