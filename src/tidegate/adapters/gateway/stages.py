"""The order in which the gateway's files change. Pure.

Invariant: at no moment does a route in force name a cluster that is not in force, or lose an endpoint that it needs.

    1 grow     clusters and endpoints: what there was and what shall be, together; then wait until both are in force
    2 switch   routes, weights, listeners; then wait
    3 shrink   endpoints and clusters that no route names any more, except clusters with requests in flight

Each stage is idempotent and computed from the files as they are, so a writer that died between two stages is carried on
by the next one, whoever it is. A change of weights alone is stage 2 with one file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.adapters.gateway import names
from tidegate.adapters.gateway.dump import Applied
from tidegate.adapters.gateway.render import Config, assignment, discovery
from tidegate.model.desired import Endpoint

Json = dict[str, Any]
Files = Mapping[str, str]
CLUSTERS = "cds.json"
LISTENERS = "lds.json"
_KINDS = ("eds.", CLUSTERS, "rds.", "tcp.", "tls.", LISTENERS)
_NONE: Json = {"resources": []}


@dataclass(frozen=True)
class Stage:
    """Files to write in this order, files to delete after that, and what must be in force before going on."""

    files: Files = field(default_factory=dict)
    deletes: tuple[str, ...] = ()
    expect: Applied = field(default_factory=Applied)


def grow(now: Files, want: Config) -> Stage:
    """Add what the new routes need, and take nothing away."""
    present = endpoints_of(now)
    union = {name: present.get(name, frozenset()) | asked for name, asked in want.endpoints.items()}
    files = {
        names.endpoints_file(name): discovery([assignment(name, endpoints)])
        for name, endpoints in union.items()
        if present.get(name) != endpoints
    }
    before = clusters_of(now)
    clusters = {**before, **want.clusters}
    if clusters != before:
        files[CLUSTERS] = _listed(clusters)
    return Stage(files, expect=expected_of(files))


def switch(now: Files, want: Config) -> Stage:
    """Move traffic: routes and splits first, listeners (which may name new ones) after them."""
    texts = {names.routes_file(port): discovery([body]) for port, body in want.routes.items()}
    texts |= {names.split_file(p): discovery([body]) for p, body in want.splits.items()}
    texts |= {names.secret_file(tls): discovery([body]) for tls, body in want.secrets.items()}
    texts[LISTENERS] = _listed(want.listeners)
    files = {name: text for name, text in texts.items() if now.get(name) != text}
    before = expected_of(now).listeners
    expect = expected_of(files)
    # A listener that was asked for before and is not in force is its own agent's trouble, not this one's.
    changed = {name: digest for name, digest in expect.listeners.items() if before.get(name) != digest}
    return Stage(files, expect=replace(expect, listeners=changed))


def expected_of(files: Files) -> Applied:
    """What must be in force once Envoy has read these files."""
    read = {name: json.loads(text) for name, text in files.items()}
    of = {kind: [body for name, body in read.items() if name.startswith(kind)] for kind in ("rds.", "tcp.")}
    return Applied(
        clusters={c["name"]: _digest(c) for c in read.get(CLUSTERS, _NONE)["resources"]},
        endpoints=endpoints_of(files),
        routes={body["resources"][0]["name"]: body["version_info"] for body in of["rds."]},
        splits={body["resources"][0]["name"]: body["version_info"] for body in of["tcp."]},
        listeners={c["name"]: _digest(c) for c in read.get(LISTENERS, _NONE)["resources"]},
    )


def reading_order(name: str) -> int:
    """Position of a file in an order in which nothing is read before what it needs."""
    return next(position for position, kind in enumerate(_KINDS) if name.startswith(kind))


def leaving(now: Files, want: Config) -> frozenset[str]:
    """Clusters that no route will name."""
    return frozenset(clusters_of(now)) - frozenset(want.clusters)


def shrink(now: Files, want: Config, busy: frozenset[str]) -> Stage:
    """Take away what no route names. `busy` clusters have requests in flight: they stay, counted, until next time."""
    before, present = clusters_of(now), endpoints_of(now)
    kept = {name: body for name, body in before.items() if name in want.clusters or name in busy}
    fewer = {name: asked for name, asked in want.endpoints.items() if present.get(name) != asked}
    files = {names.endpoints_file(name): discovery([assignment(name, asked)]) for name, asked in fewer.items()}
    if kept != before:
        files[CLUSTERS] = _listed(kept)
    needed = {CLUSTERS, LISTENERS, *map(names.endpoints_file, kept)}
    needed |= {names.routes_file(port) for port in want.routes} | {names.split_file(port) for port in want.splits}
    needed |= {names.secret_file(tls) for tls in want.secrets}
    return Stage(files, tuple(sorted(set(now) - needed)), expected_of(files))


def clusters_of(now: Files) -> dict[str, Json]:
    """The clusters that the files name, by name."""
    return {body["name"]: body for body in json.loads(now.get(CLUSTERS, '{"resources": []}'))["resources"]}


def endpoints_of(now: Files) -> dict[str, frozenset[Endpoint]]:
    """The endpoints that the files name, by cluster."""
    found: dict[str, frozenset[Endpoint]] = {}
    for name, text in now.items():
        if name.startswith("eds."):
            for body in json.loads(text)["resources"]:
                sockets = [lb["endpoint"]["address"]["socket_address"] for lb in body["endpoints"][0]["lb_endpoints"]]
                found[body["cluster_name"]] = frozenset(Endpoint(s["address"], s["port_value"]) for s in sockets)
    return found


def _listed(resources: Mapping[str, Json]) -> str:
    return discovery([resources[name] for name in sorted(resources)])


def _digest(resource: Json) -> str:
    return str(resource["metadata"]["filter_metadata"][names.LABEL]["digest"])
