"""Envoy's configuration as texts of files, from merged claims. Pure: same claims, same texts.

    lds.json              listeners, one a port; change only when ports or certificates do
    cds.json              clusters, one a revision and target port
    eds.CLUSTER.json      a cluster's endpoints
    rds.PORT.json         an HTTP port's hosts, paths and weights
    tls.ID.json           a certificate and its key: where the gateway's copies are
    tcp.PORT.json         a TCP port's weights (extension config discovery: connections that exist keep their backend)

Listeners and clusters carry their digest, the other files a version: by them stages and dump tell what Envoy applied.
Source: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/api
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.adapters.gateway import http, names
from tidegate.adapters.gateway.merge import Claim
from tidegate.model.desired import Endpoint
from tidegate.model.workload import RouteProtocol, Tls, fingerprint

Json = dict[str, Any]
TYPE = "type.googleapis.com/envoy."
NOWHERE = "tidegate.nowhere"
"""Names no cluster: a TCP port without a backend closes what connects."""


@dataclass(frozen=True)
class Config:
    """What Envoy should hold. Clusters and listeners by name, endpoints by cluster, routes and TCP splits by port."""

    clusters: Mapping[str, Json] = field(default_factory=dict)
    endpoints: Mapping[str, frozenset[Endpoint]] = field(default_factory=dict)
    listeners: Mapping[str, Json] = field(default_factory=dict)
    routes: Mapping[int, Json] = field(default_factory=dict)
    splits: Mapping[int, Json] = field(default_factory=dict)
    secrets: Mapping[Tls, Json] = field(default_factory=dict)


def render(claims: Iterable[Claim], directory: str = names.XDS) -> Config:
    """The configuration for these claims; `directory` is where Envoy finds the files."""
    by_port: dict[int, list[Claim]] = {}
    clusters: dict[str, Json] = {}
    endpoints: dict[str, frozenset[Endpoint]] = {}
    for claim in claims:
        by_port.setdefault(claim.route.listen, []).append(claim)
        for backend in claim.goal.backends:
            name = names.cluster(claim.key, backend.revision, claim.route)
            clusters[name] = _cluster(name, claim.route.protocol, directory)
            endpoints[name] = endpoints.get(name, frozenset()) | frozenset(backend.endpoints)
    tcp = {port: group[0] for port, group in by_port.items() if group[0].route.protocol is RouteProtocol.TCP}
    web = {port: tuple(group) for port, group in by_port.items() if port not in tcp}
    listeners = {names.listener(port): _tcp_listener(port, directory, claim.route.tls) for port, claim in tcp.items()}
    listeners |= {names.listener(port): _http_listener(port, directory, group) for port, group in web.items()}
    return Config(
        clusters=clusters,
        endpoints=endpoints,
        listeners=listeners,
        routes={port: http.route_configuration(port, group) for port, group in web.items()},
        splits={port: _split(port, claim) for port, claim in tcp.items()},
        secrets={c.route.tls: _secret(c.route.tls) for group in by_port.values() for c in group if c.route.tls},
    )


def discovery(resources: Iterable[Json]) -> str:
    """The text of a file of resources; its version is the content's digest."""
    listed = list(resources)
    return json.dumps({"version_info": fingerprint(listed), "resources": listed}, sort_keys=True)


def assignment(name: str, endpoints: frozenset[Endpoint]) -> Json:
    """A cluster's endpoints as a resource."""
    lb = [{"endpoint": {"address": address(e.address, e.port)}} for e in sorted(endpoints)]
    return {
        "@type": f"{TYPE}config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": lb}],
    }


def address(host: str, port: int) -> Json:
    """Envoy's form of an address."""
    return {"socket_address": {"address": host, "port_value": port}}


def _file(directory: str, name: str) -> Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": f"{directory}/{name}"}}


def _cluster(name: str, protocol: RouteProtocol, directory: str) -> Json:
    many = 1_000_000  # the gateway is no circuit breaker: limits belong to the instances
    body: Json = {
        "@type": f"{TYPE}config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _file(directory, names.endpoints_file(name))},
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": many, "max_pending_requests": many, "max_requests": many, "max_retries": many}
            ]
        },
    }
    if protocol is not RouteProtocol.TCP:
        body["typed_extension_protocol_options"] = http.upstream_options(protocol)
    return _digested(body)


def _digested(body: Json) -> Json:
    return {**body, "metadata": {"filter_metadata": {names.LABEL: {"digest": fingerprint(body)}}}}


def _http_listener(port: int, directory: str, group: tuple[Claim, ...]) -> Json:
    manager = http.connection_manager(port, _file(directory, names.routes_file(port)))
    hosts: dict[Tls | None, list[str]] = {}
    for claim in group:
        hosts.setdefault(claim.route.tls, []).append(claim.route.host)
    chains = [_chain(manager, tls, directory, sorted(set(asked))) for tls, asked in hosts.items()]
    return _listener(port, sorted(chains, key=lambda chain: json.dumps(chain, sort_keys=True)))


def _tcp_listener(port: int, directory: str, tls: Tls | None) -> Json:
    proxy = {
        "name": names.split(port),
        "config_discovery": {
            "config_source": _file(directory, names.split_file(port)),
            "type_urls": [f"{TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy"],
        },
    }
    return _listener(port, [_chain(proxy, tls, directory)])


def _listener(port: int, chains: list[Json]) -> Json:
    body: Json = {
        "@type": f"{TYPE}config.listener.v3.Listener",
        "name": names.listener(port),
        "address": address("0.0.0.0", port),  # noqa: S104 - a gateway listens to the world
        "tcp_backlog_size": 4096,
        "enable_reuse_port": True,
        "filter_chains": chains,
    }
    if any("transport_socket" in chain for chain in chains):
        inspector = {"@type": f"{TYPE}extensions.filters.listener.tls_inspector.v3.TlsInspector"}
        body["listener_filters"] = [{"name": "tls_inspector", "typed_config": inspector}]
    return _digested(body)


def _chain(proxy: Json, tls: Tls | None, directory: str, hosts: Sequence[str] = ()) -> Json:
    """A filter chain; `hosts` are the names in a TLS handshake that select it, and make it one for HTTP."""
    if tls is None:
        return {"filters": [proxy]}
    source = {"name": names.tls_id(tls), "sds_config": _file(directory, names.secret_file(tls))}
    common: Json = {"tls_certificate_sds_secret_configs": [source]}
    if hosts:
        common["alpn_protocols"] = ["h2", "http/1.1"]
    context = {"@type": f"{TYPE}extensions.transport_sockets.tls.v3.DownstreamTlsContext", "common_tls_context": common}
    chain: Json = {"filters": [proxy], "transport_socket": {"name": "tls", "typed_config": context}}
    if hosts and "*" not in hosts:
        chain["filter_chain_match"] = {"server_names": list(hosts)}
    return chain


def _secret(tls: Tls) -> Json:
    directory = names.tls_directory(tls)
    certificate = {
        "certificate_chain": {"filename": f"{directory}/crt"},
        "private_key": {"filename": f"{directory}/key"},
        "watched_directory": {"path": directory},
    }
    kind = f"{TYPE}extensions.transport_sockets.tls.v3.Secret"
    return {"@type": kind, "name": names.tls_id(tls), "tls_certificate": certificate}


def _split(port: int, claim: Claim) -> Json:
    shares = [
        {"name": names.cluster(claim.key, backend.revision, claim.route), "weight": backend.weight}
        for backend in claim.goal.backends
        if backend.weight > 0
    ]
    proxy: Json = {
        "@type": f"{TYPE}extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": names.split(port),
        "idle_timeout": "0s",
        "max_connect_attempts": 3,
        # Envoy looks for envoy.lb here and leaves the rest alone. Splits that differ must differ in content, because
        # Envoy skips, and never reports, an update whose content is the one in force.
        "metadata_match": {"filter_metadata": {names.LABEL: http.described(claim)}},
    }
    proxy |= {"weighted_clusters": {"clusters": shares}} if shares else {"cluster": NOWHERE}
    return {"@type": f"{TYPE}config.core.v3.TypedExtensionConfig", "name": names.split(port), "typed_config": proxy}
