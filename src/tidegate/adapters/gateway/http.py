"""The HTTP parts of Envoy's configuration: connection manager, virtual hosts, weights, retries. Pure.

Retries are only those that cannot have reached an instance (no connection, reset before the request was sent, refused
stream), so a POST is never sent twice and a canary's errors are never hidden. An idle upstream connection is closed
after IDLE_S, before servers with the usual keep-alive (2 s and more) close theirs under a request.
"""

from collections.abc import Iterable
from typing import Any

from tidegate.adapters.gateway import names, requests
from tidegate.adapters.gateway.merge import Claim
from tidegate.model import codec
from tidegate.model.workload import RouteProtocol

Json = dict[str, Any]
TYPE = "type.googleapis.com/envoy."
IDLE_S = 1
RETRY = {
    "retry_on": "connect-failure,reset-before-request,refused-stream",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
    "retry_host_predicate": [
        {
            "name": "previous_hosts",
            "typed_config": {"@type": f"{TYPE}extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    "host_selection_retry_max_attempts": 5,
}


def upstream_options(protocol: RouteProtocol) -> Json:
    """How a cluster's instances are spoken to."""
    h2 = protocol in {RouteProtocol.HTTP2, RouteProtocol.GRPC}
    kind = f"{TYPE}extensions.upstreams.http.v3.HttpProtocolOptions"
    options: Json = {
        "@type": kind,
        "explicit_http_config": {"http2_protocol_options": {}} if h2 else {"http_protocol_options": {}},
    }
    if not h2:
        options["common_http_protocol_options"] = {"idle_timeout": f"{IDLE_S}s"}
    return {kind.removeprefix("type.googleapis.com/"): options}


def connection_manager(port: int, rds: Json) -> Json:
    """The filter of an HTTP port. It never changes while the port exists, so connections are never drained for it."""
    grpc = {"@type": f"{TYPE}extensions.filters.http.grpc_stats.v3.FilterConfig", "stats_for_all_methods": False}
    router = {"@type": f"{TYPE}extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{TYPE}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": names.listener(port),
        "codec_type": "AUTO",
        "rds": {"route_config_name": names.listener(port), "config_source": rds},
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "normalize_path": True,
        "stream_idle_timeout": "0s",  # server-sent events and WebSocket may be silent
        "request_headers_timeout": "15s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{"name": "grpc_stats", "typed_config": grpc}, {"name": "router", "typed_config": router}],
    }
    return {"name": "http", "typed_config": manager}


def route_configuration(port: int, claims: Iterable[Claim]) -> Json:
    """Hosts, paths and weights of a port. The longest path wins; the most specific host wins before that."""
    hosts: dict[str, list[Claim]] = {}
    for claim in claims:
        hosts.setdefault(claim.route.host, []).append(claim)
    virtual = [
        {
            "name": host,
            "domains": [host],
            "routes": [
                route
                for claim in sorted(group, key=lambda c: (-len(c.route.path), c.route.path))
                for route in _routes(claim)
            ],
        }
        for host, group in sorted(hosts.items())
    ]
    return {
        "@type": f"{TYPE}config.route.v3.RouteConfiguration",
        "name": names.listener(port),
        "ignore_port_in_host_matching": True,
        "virtual_hosts": virtual,
    }


def described(claim: Claim) -> Json:
    """The claim without endpoints in plain form: what an observer needs to recognise it in what Envoy applied."""
    goal = claim.goal
    facts: Json = {
        "agent": claim.key.agent,
        "environment": claim.key.environment,
        "route": codec.dump(claim.route),
        "backends": [
            {"revision": b.revision, "weight": b.weight, "cluster": names.cluster(claim.key, b.revision, claim.route)}
            for b in goal.backends
        ],
    }
    facts |= {"rules": codec.dump(goal.rules)} if goal.rules else {}
    facts |= {"sticky": codec.dump(goal.sticky)} if goal.sticky else {}
    return facts | ({"mirror": codec.dump(goal.mirror)} if goal.mirror else {})


def _routes(claim: Claim) -> list[Json]:
    """Envoy's routes of one claim, rules first. The last one carries the facts that an observer reads."""
    path = claim.route.path
    match: Json = {"prefix": path} if path.endswith("/") else {"path_separated_prefix": path}
    made = [
        {"match": {**match, "headers": requests.conditions(rule.matches)}, **_to(claim, rule.revision)}
        for rule in claim.goal.rules
    ]
    made += _weighted(claim, match)
    made[-1]["metadata"] = {"filter_metadata": {names.LABEL: described(claim)}}
    return made


def _weighted(claim: Claim, match: Json) -> list[Json]:
    goal = claim.goal
    shares = [
        {"name": names.cluster(claim.key, backend.revision, claim.route), "weight": backend.weight}
        for backend in goal.backends
    ]
    if not any(share["weight"] for share in shares):
        return [{"match": match, **_nobody(claim)}]
    action: Json = {"weighted_clusters": {"clusters": shares}, **_handling(claim)}
    if goal.mirror:
        cluster = names.cluster(claim.key, goal.mirror.revision, claim.route)
        action["request_mirror_policies"] = requests.mirrored(goal.mirror, cluster)
    variants = requests.sticky_routes(goal.sticky, match, action)
    return [{"match": where, "route": what, **more} for where, what, more in variants]


def _to(claim: Claim, revision: int) -> Json:
    """Everything to one revision, if it has an endpoint."""
    if not any(backend.revision == revision and backend.endpoints for backend in claim.goal.backends):
        return _nobody(claim)
    return {"route": {"cluster": names.cluster(claim.key, revision, claim.route), **_handling(claim)}}


def _handling(claim: Claim) -> Json:
    return {"timeout": f"{claim.route.timeout_s:g}s", "retry_policy": RETRY}


def _nobody(claim: Claim) -> Json:
    body = {"inline_string": f"{claim.key} has no ready instance\n"}
    return {"direct_response": {"status": 503, "body": body}}
