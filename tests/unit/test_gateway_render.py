"""The rendered configuration: the texts of small cases, and that equal claims give equal texts."""

import json

from tidegate.adapters.gateway import names, render
from tidegate.adapters.gateway.merge import Fragment, merge
from tidegate.model.desired import Backend, Endpoint, RouteGoal
from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol, Tls

KEY = AgentKey("web", "prod")
A, B = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


def config(*goals: RouteGoal) -> render.Config:
    return render.render(merge([Fragment(KEY, goals)]), "/xds")


def split(route: Route, one: int = 90, two: int = 10) -> RouteGoal:
    return RouteGoal(route, (Backend(1, one, (A,)), Backend(2, two, (B,))))


def test_routes_as_text() -> None:
    [host] = config(split(Route(8080, 80, timeout_s=2.5))).routes[8080]["virtual_hosts"]
    [route] = host["routes"]
    assert (host["domains"], route["match"]) == (["*"], {"prefix": "/"})
    assert json.dumps(route["route"]["weighted_clusters"]) == (
        '{"clusters": [{"name": "web.prod.r1:80", "weight": 90}, {"name": "web.prod.r2:80", "weight": 10}]}'
    )
    assert route["route"]["timeout"] == "2.5s"


def test_a_cluster_a_revision_and_target_port() -> None:
    made = config(split(Route(8080, 80)), split(Route(8081, 81)), split(Route(8082, 80, RouteProtocol.GRPC)))
    assert sorted(made.clusters) == [
        "web.prod.r1:80", "web.prod.r1:80/h2", "web.prod.r1:81",
        "web.prod.r2:80", "web.prod.r2:80/h2", "web.prod.r2:81",
    ]  # fmt: skip
    assert made.endpoints["web.prod.r2:80"] == {B}


def test_a_cluster_does_not_change_with_weights_or_endpoints() -> None:
    former, later = config(split(Route(8080, 80))), config(split(Route(8080, 80), 0, 100))
    assert former.clusters == later.clusters
    assert former.listeners == later.listeners
    assert former.routes != later.routes


def test_longest_path_first_and_whole_segments() -> None:
    routes = (split(Route(8080, 80, path=path)) for path in ("/", "/api", "/api/v2/"))
    [host] = config(*routes).routes[8080]["virtual_hosts"]
    assert [route["match"] for route in host["routes"]] == [
        {"prefix": "/api/v2/"},
        {"path_separated_prefix": "/api"},
        {"prefix": "/"},
    ]


def test_only_what_cannot_have_reached_an_instance_is_retried() -> None:
    [host] = config(split(Route(8080, 80))).routes[8080]["virtual_hosts"]
    retried = set(host["routes"][0]["route"]["retry_policy"]["retry_on"].split(","))
    assert retried == {"connect-failure", "reset-before-request", "refused-stream"}


def test_without_any_weight_the_gateway_answers_itself() -> None:
    [host] = config(split(Route(8080, 80), 0, 0)).routes[8080]["virtual_hosts"]
    assert host["routes"][0]["direct_response"]["status"] == 503
    proxy = config(split(Route(9000, 90, RouteProtocol.TCP), 0, 0)).splits[9000]["typed_config"]
    assert proxy["cluster"] == render.NOWHERE


def test_tcp_splits_by_weight_and_leaves_out_nought() -> None:
    proxy = config(split(Route(9000, 90, RouteProtocol.TCP), 100, 0)).splits[9000]["typed_config"]
    assert proxy["weighted_clusters"] == {"clusters": [{"name": "web.prod.r1:90/tcp", "weight": 100}]}
    assert proxy != config(split(Route(9000, 90, RouteProtocol.TCP), 100, 1)).splits[9000]["typed_config"]


def test_splits_that_say_something_else_differ_in_content() -> None:
    """Envoy skips an update whose content is the one in force, so the description must be part of the content."""
    route = Route(9000, 90, RouteProtocol.TCP)
    gone = RouteGoal(route, (Backend(1, 100, (A,)),))
    assert config(split(route, 100, 0)).splits != config(gone).splits


def test_certificates_select_by_host() -> None:
    first, second = Tls("/one.crt", "/one.key"), Tls("/two.crt", "/two.key")
    made = config(split(Route(443, 80, host="one.test", tls=first)), split(Route(443, 80, tls=second)))
    chains = made.listeners["p443"]["filter_chains"]
    matches = {
        chain["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificate_sds_secret_configs"][0][
            "name"
        ]: chain.get("filter_chain_match")
        for chain in chains
    }
    assert matches == {names.tls_id(first): {"server_names": ["one.test"]}, names.tls_id(second): None}
    assert set(made.secrets) == {first, second}


def test_a_version_is_the_content() -> None:
    claims = merge([Fragment(KEY, (split(Route(8080, 80)),))])
    texts = [render.discovery(render.render(claims).routes.values()) for _ in range(2)]
    assert texts[0] == texts[1]
    other = render.discovery(config(split(Route(8080, 80), 50, 50)).routes.values())
    assert json.loads(other)["version_info"] != json.loads(texts[0])["version_info"]


def test_names_can_be_read_back() -> None:
    for protocol in RouteProtocol:
        name = names.cluster(KEY, 12, Route(1, 8080, protocol))
        read = names.parse_cluster(name)
        assert read is not None
        assert (read.key, read.revision, read.port) == ("web.prod", 12, 8080)
        assert names.parse_cluster(name.replace(":", "_")) == read
    assert names.parse_cluster("something.else") is None
