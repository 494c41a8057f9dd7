"""What runs: a workload in the keys of a Compose service, its probes and its routes through the gateway."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Pairs = Mapping[str, str]


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"


@dataclass(frozen=True)
class Probe:
    """A question put to an instance again and again. Times are seconds; semantics are those of Kubernetes' probes.

    Source: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """

    kind: ProbeKind
    port: int = 0
    path: str = "/"
    command: tuple[str, ...] = ()
    initial_delay_s: float = 0.0
    period_s: float = 1.0
    timeout_s: float = 1.0
    failure_threshold: int = 3
    success_threshold: int = 1


@dataclass(frozen=True)
class HealthCheck:
    """Compose's healthcheck: run by the engine, read by us. An empty test means the image's own HEALTHCHECK."""

    test: tuple[str, ...] = ()
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0
    disable: bool = False


class MountKind(StrEnum):
    """Where the content of a mount comes from."""

    VOLUME = "volume"
    BIND = "bind"
    TMPFS = "tmpfs"


@dataclass(frozen=True)
class Mount:
    """One mount. `source` is a volume's name, or a path of the host for a bind."""

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False


class PortProtocol(StrEnum):
    """Protocol of a port published without the gateway."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True)
class PublishedPort:
    """A port of the host that goes straight to the container, past the gateway."""

    host_port: int
    container_port: int
    protocol: PortProtocol = PortProtocol.TCP
    host_address: str = ""


@dataclass(frozen=True)
class Resources:
    """Limits of one instance: cores, bytes and processes. None means no limit."""

    cpus: float | None = None
    memory_bytes: int | None = None
    pids: int | None = None


class RouteProtocol(StrEnum):
    """What the gateway speaks on a route. WebSocket and SSE are HTTP; gRPC needs http2 towards the agent."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"


@dataclass(frozen=True)
class Tls:
    """TLS by files: paths of certificate chain and key, as the gateway's host sees them."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Route:
    """Traffic that the gateway takes on `listen` and hands to port `target` of ready instances.

    HTTP routes of several agents may share a listening port; host and path prefix tell them apart. A TCP route has the
    port to itself.
    """

    listen: int
    target: int
    protocol: RouteProtocol = RouteProtocol.HTTP
    host: str = "*"
    path: str = "/"
    tls: Tls | None = None
    timeout_s: float = 0.0

    @property
    def name(self) -> str:
        """Unique within an agent."""
        return f"{self.protocol}:{self.listen}{self.host}{self.path}"


@dataclass(frozen=True)
class SecretRef:
    """Where the value of an environment variable comes from; the value itself is never stored and never printed.

    `source` is file, environment or command.
    """

    variable: str
    source: str
    reference: str


@dataclass(frozen=True)
class Workload:
    """One agent's container, in the keys of a Compose service, with probes and routes beside it."""

    image: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Pairs = field(default_factory=dict)
    secrets: tuple[SecretRef, ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()
    network_mode: str = ""
    healthcheck: HealthCheck | None = None
    readiness: Probe | None = None
    liveness: Probe | None = None
    resources: Resources = Resources()
    restart: str = "unless-stopped"
    replicas: int = 1
    stop_signal: str = ""
    stop_grace_s: float = 10.0
    user: str = ""
    working_dir: str = ""
    hostname: str = ""
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    sysctls: Pairs = field(default_factory=dict)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    shm_bytes: int | None = None
    log_driver: str = ""
    log_options: Pairs = field(default_factory=dict)
    labels: Pairs = field(default_factory=dict)
    routes: tuple[Route, ...] = ()

    @property
    def takes_traffic(self) -> bool:
        """Whether requests reach this agent through the gateway."""
        return bool(self.routes)


def fingerprint(value: Any) -> str:
    """Twelve hexadecimal digits that change whenever the value's plain form changes (SHA-256 of canonical JSON)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
