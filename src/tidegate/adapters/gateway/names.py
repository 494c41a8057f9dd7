"""Names inside the gateway: clusters, files, labels. One place, so that what is written can be recognised again."""

import re
from dataclasses import dataclass

from tidegate.model.release import AgentKey
from tidegate.model.workload import Route, RouteProtocol, Tls, fingerprint

LABEL = "dev.tidegate"
"""Key of our facts in Envoy's metadata."""
VOLUME = "/config"
"""Where the volume is mounted in the gateway's container."""
XDS = f"{VOLUME}/xds"
"""Envoy's files and ours, in one directory, so that one rename program moves all of a commit's."""
FRAGMENT = "fragment."
TLS = f"{VOLUME}/tls"

_SUFFIX = {RouteProtocol.HTTP: "", RouteProtocol.HTTP2: "/h2", RouteProtocol.GRPC: "/h2", RouteProtocol.TCP: "/tcp"}
_CLUSTER = re.compile(r"(?P<key>.+)\.r(?P<revision>\d+)[:_](?P<port>\d+)(?P<kind>/h2|/tcp|)")


@dataclass(frozen=True)
class ClusterName:
    """A cluster's name taken apart. `key` is the agent's key as text."""

    key: str
    revision: int
    port: int
    kind: str


def cluster(key: AgentKey, revision: int, route: Route) -> str:
    """Name of the cluster that serves a route's target port of one revision."""
    return f"{key}.r{revision}:{route.target}{_SUFFIX[route.protocol]}"


def parse_cluster(name: str) -> ClusterName | None:
    """Take a cluster's name apart, or its name in statistics (where ":" is "_"). None when it is not ours."""
    found = _CLUSTER.fullmatch(name)
    if found is None:
        return None
    return ClusterName(found["key"], int(found["revision"]), int(found["port"]), found["kind"].lstrip("/"))


def is_of(name: str, key: AgentKey) -> bool:
    """Whether a cluster is one of an agent's."""
    found = parse_cluster(name)
    return found is not None and found.key == str(key)


def listener(port: int) -> str:
    """Name of the listener of a port."""
    return f"p{port}"


def split(port: int) -> str:
    """Name of a TCP port's split."""
    return f"tcp_{port}"


def endpoints_file(name: str) -> str:
    """File of a cluster's endpoints."""
    return f"eds.{name.replace('/', '+')}.json"


def routes_file(port: int) -> str:
    """File of an HTTP port's routes."""
    return f"rds.{port}.json"


def split_file(port: int) -> str:
    """File of a TCP port's split."""
    return f"tcp.{port}.json"


def fragment_file(key: AgentKey) -> str:
    """File of an agent's fragment."""
    return f"{FRAGMENT}{key}.json"


def tls_id(tls: Tls) -> str:
    """Name of a pair of certificate and key."""
    return f"tls.{fingerprint([tls.certificate, tls.key])}"


def tls_directory(tls: Tls) -> str:
    """Directory of the gateway's copies of a pair: crt and key."""
    return f"{TLS}/{tls_id(tls)}"


def secret_file(tls: Tls) -> str:
    """File that tells Envoy of a pair."""
    return f"{tls_id(tls)}.json"
