"""Fragments: round trip, canonical order, conflicts that name both agents."""

import pytest

from tidegate.adapters.gateway.merge import Fragment, canonical, merge, read_fragment, write_fragment
from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.errors import GatewayError
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol, Tls

SHOP, API = AgentKey("shop", "prod"), AgentKey("api", "prod")
A, B = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)
TLS, OTHER_TLS = Tls("/a.crt", "/a.key"), Tls("/b.crt", "/b.key")


def fragment(key: AgentKey, *routes: Route, endpoint: Endpoint = A, weight: int = 100) -> Fragment:
    return Fragment(key, tuple(RouteGoal(route, (Backend(1, weight, (endpoint,)),)) for route in routes))


def test_a_fragment_survives_its_file() -> None:
    route = Route(8443, 80, RouteProtocol.GRPC, "shop.test", "/a", TLS, 2.5)
    original = Fragment(SHOP, (RouteGoal(route, (Backend(3, 60, (A, B)), Backend(4, 40, ()))),), 7, "store")
    assert read_fragment(write_fragment(original)) == original
    assert "\n" not in write_fragment(original), "the volume is read line by line"


def test_a_damaged_fragment_says_how_to_mend_it() -> None:
    with pytest.raises(GatewayError, match="damaged") as raised:
        read_fragment('{"key": ')
    assert "volume" in raised.value.hint


def test_order_does_not_matter() -> None:
    one, two = Route(80, 1, path="/a"), Route(80, 1, path="/b")
    goals = (RouteGoal(two, (Backend(2, 1, (B, A)), Backend(1, 99, ()))), RouteGoal(one, ()))
    turned = (RouteGoal(one, ()), RouteGoal(two, (Backend(1, 99, ()), Backend(2, 1, (A, B, A)))))
    assert canonical(goals) == canonical(turned)
    assert canonical(goals) != canonical(
        (RouteGoal(one, ()), RouteGoal(two, (Backend(1, 98, ()), Backend(2, 2, (A, B)))))
    )


def test_agents_share_a_port() -> None:
    routes = [fragment(SHOP, Route(80, 1)), fragment(API, Route(80, 1, path="/api"), Route(80, 1, host="api.test"))]
    assert [str(claim.key) for claim in merge(routes)] == ["api.prod", "api.prod", "shop.prod"]


@pytest.mark.parametrize(
    ("one", "two", "says"),
    [
        (Route(80, 1), Route(80, 2), r"both claim port 80, host \*, path /$"),
        (Route(80, 1, RouteProtocol.TCP), Route(80, 2), "port 80 is asked for as TCP and as HTTP"),
        (Route(80, 1, RouteProtocol.TCP), Route(80, 2, RouteProtocol.TCP), "both claim TCP port 80"),
        (Route(80, 1, tls=TLS), Route(80, 2, path="/x"), "port 80 is asked for with and without TLS"),
        (Route(80, 1, tls=TLS), Route(80, 2, path="/x", tls=OTHER_TLS), r"host \* is asked for with two certificates"),
    ],
)
def test_conflicts_name_both_agents(one: Route, two: Route, says: str) -> None:
    with pytest.raises(GatewayError, match=rf"^api\.prod and shop\.prod: .*{says}") as raised:
        merge([fragment(SHOP, two), fragment(API, one)])
    assert raised.value.hint


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (fragment(SHOP, Route(0, 80)), "0 is not a port"),
        (fragment(SHOP, Route(80, 70000)), "70000 is not a port"),
        (fragment(SHOP, Route(80, 80, path="api")), "does not begin with /"),
        (fragment(SHOP, Route(80, 80), endpoint=Endpoint("shop", 80)), "'shop' is not an IP address"),
        (fragment(SHOP, Route(80, 80), weight=-1), "revision 1 has weight -1"),
        (fragment(SHOP, Route(53, 53, "udp")), "does not carry udp"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_carried_is_refused(bad: Fragment, says: str) -> None:
    with pytest.raises(GatewayError, match=rf"^shop\.prod: route .*{says}"):
        merge([bad])
