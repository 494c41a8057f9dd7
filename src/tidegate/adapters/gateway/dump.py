"""What Envoy says it has applied, read from its configuration dump. Pure: answers in, facts out."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.adapters.gateway import names
from tidegate.model import codec
from tidegate.model.desired import Backend, Endpoint, Mirror, RouteGoal, Rule
from tidegate.model.release import AgentKey
from tidegate.model.traffic import Sticky
from tidegate.model.workload import Route

Json = dict[str, Any]
SECTIONS = (
    "dynamic_active_clusters",
    "dynamic_endpoint_configs",
    "dynamic_route_configs",
    "ecds_filters",
    "dynamic_listeners",
)


@dataclass(frozen=True)
class Applied:
    """Digests or versions of what is in force, by name; `failed` holds Envoy's reasons for what it refused.

    The same shape says what is expected. Endpoints are by cluster.
    """

    clusters: Mapping[str, str] = field(default_factory=dict)
    endpoints: Mapping[str, frozenset[Endpoint]] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Json, ...] = ()

    def lacks(self, wanted: "Applied") -> tuple[str, ...]:
        """Names of what is wanted and not in force yet."""
        pairs: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = (
            (wanted.clusters, self.clusters),
            (wanted.endpoints, self.endpoints),
            (wanted.routes, self.routes),
            (wanted.splits, self.splits),
            (wanted.listeners, self.listeners),
        )
        return tuple(name for want, have in pairs for name, value in want.items() if have.get(name) != value)

    def only(self, key: AgentKey, ports: frozenset[int]) -> "Applied":
        """The part that concerns one agent and the ports that it listens on."""
        listeners, splits = {names.listener(port) for port in ports}, {names.split(port) for port in ports}
        return Applied(
            clusters={name: digest for name, digest in self.clusters.items() if names.is_of(name, key)},
            endpoints={name: endpoints for name, endpoints in self.endpoints.items() if names.is_of(name, key)},
            routes={name: version for name, version in self.routes.items() if name in listeners},
            splits={name: version for name, version in self.splits.items() if name in splits},
            listeners={name: digest for name, digest in self.listeners.items() if name in listeners},
        )

    def sections(self) -> tuple[str, ...]:
        """The sections of the dump that must be asked to know whether this, as an expectation, is in force."""
        parts = (self.clusters, self.endpoints, self.routes, self.splits, self.listeners)
        return tuple(section for section, part in zip(SECTIONS, parts, strict=True) if part)


def path_of(section: str) -> str:
    """The admin path that answers one section of the dump."""
    return f"/config_dump?resource={section}" + ("&include_eds" if section == "dynamic_endpoint_configs" else "")


def read(answers: Mapping[str, str]) -> Applied:
    """Facts from the answers to path_of(section), by section; absent sections stay empty."""
    found = {section: json.loads(text).get("configs", []) for section, text in answers.items()}
    clusters = {c["cluster"]["name"]: _digest(c["cluster"]) for c in found.get("dynamic_active_clusters", ())}
    endpoints = dict(_endpoints(c["endpoint_config"]) for c in found.get("dynamic_endpoint_configs", ()))
    routes = {c["route_config"]["name"]: c.get("version_info", "") for c in found.get("dynamic_route_configs", ())}
    splits = {c["ecds_filter"]["name"]: c.get("version_info", "") for c in found.get("ecds_filters", ())}
    active = [c for c in found.get("dynamic_listeners", ()) if "active_state" in c]
    return Applied(
        clusters=clusters,
        endpoints=endpoints,
        routes=routes,
        splits=splits,
        listeners={c["name"]: _digest(c["active_state"]["listener"]) for c in active},
        failed=dict(_failures(config for configs in found.values() for config in configs)),
        claims=tuple(_claims(found.get("dynamic_route_configs", ()), found.get("ecds_filters", ()))),
    )


def goals(applied: Applied, key: AgentKey) -> tuple[RouteGoal, ...]:
    """One agent's routes as they are in force: those whose listener is active, with the endpoints in force."""
    mine = [
        claim
        for claim in applied.claims
        if (claim["agent"], claim["environment"]) == (key.agent, key.environment)
        and names.listener(int(claim["route"]["listen"])) in applied.listeners
    ]
    return tuple(
        RouteGoal(
            codec.load(claim["route"], Route),
            tuple(
                Backend(
                    int(backend["revision"]),
                    int(backend["weight"]),
                    tuple(sorted(applied.endpoints.get(backend["cluster"], ()))),
                )
                for backend in claim["backends"]
            ),
            codec.load(claim.get("rules", ()), tuple[Rule, ...]),
            codec.load(claim["sticky"], Sticky) if "sticky" in claim else None,
            codec.load(claim["mirror"], Mirror) if "mirror" in claim else None,
        )
        for claim in mine
    )


def _digest(resource: Json) -> str:
    facts = resource.get("metadata", {}).get("filter_metadata", {}).get(names.LABEL, {})
    return str(facts.get("digest", ""))


def _endpoints(assignment: Json) -> tuple[str, frozenset[Endpoint]]:
    sockets = (
        lb["endpoint"]["address"]["socket_address"]
        for locality in assignment.get("endpoints", ())
        for lb in locality.get("lb_endpoints", ())
    )
    return assignment["cluster_name"], frozenset(Endpoint(s["address"], int(s["port_value"])) for s in sockets)


def _failures(configs: Iterable[Json]) -> Iterable[tuple[str, str]]:
    for config in configs:
        error = config.get("error_state")
        if error:
            failed = error.get("failed_configuration", {})
            yield config.get("name") or failed.get("name", "?"), error.get("details", "")


def _claims(route_configs: Iterable[Json], filters: Iterable[Json]) -> Iterable[Json]:
    for config in route_configs:
        for host in config["route_config"].get("virtual_hosts", ()):
            for route in host.get("routes", ()):
                if "metadata" in route:
                    yield route["metadata"]["filter_metadata"][names.LABEL]
    for config in filters:
        yield config["ecds_filter"]["typed_config"]["metadata_match"]["filter_metadata"][names.LABEL]
