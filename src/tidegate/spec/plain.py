"""A workload as a person would write it, and the difference between two of them. Secrets never appear in either."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.model.secrecy import looks_secret
from tidegate.model.workload import HealthCheck, Mount, MountKind, Probe, ProbeKind, PublishedPort, Route, Workload
from tidegate.spec.scalars import byte_text, duration_text

HIDDEN = "(not shown: looks like a secret)"
_SAME_NAME = (
    *("image", "network_mode", "restart", "stop_signal", "user", "working_dir", "hostname"),
    *("init", "read_only", "privileged"),
)
_LISTS = ("networks", "cap_add", "cap_drop", "security_opt", "extra_hosts", "dns", "devices", "group_add")
_PAIRS = ("sysctls", "labels")


@dataclass(frozen=True)
class Change:
    """One key that differs; None means absent on that side. `hidden` values differ and are not shown."""

    key: str
    before: Any
    after: Any
    hidden: bool = False

    def __str__(self) -> str:
        """One line: + added, - taken out, ~ changed."""
        if self.hidden:
            return f"~ {self.key}: changed {HIDDEN}"
        if self.before is None:
            return f"+ {self.key}: {_shown(self.after)}"
        if self.after is None:
            return f"- {self.key}: {_shown(self.before)}"
        return f"~ {self.key}: {_shown(self.before)} -> {_shown(self.after)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value) if isinstance(value, str) and (not value.isprintable() or value.strip() != value) else str(value)
    return text or '""'


def plain_workload(workload: Workload) -> dict[str, Any]:
    """The keys that differ from their defaults, in Compose's spelling, with probes, routes and references to secrets.

    For people and for diffs: what looks like a secret is masked, so this is not a way to store a workload.
    """
    return _plain(workload, mask=True)


def diff_workloads(before: Workload, after: Workload) -> tuple[Change, ...]:
    """Key by key, in the order of the keys. Equal workloads give an empty tuple."""
    old, new = _flat(_plain(before, mask=False)), _flat(_plain(after, mask=False))
    changes: list[Change] = []
    for key in dict.fromkeys((*old, *new)):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        secret = any(looks_secret(key.rpartition(".")[2], value) for value in (was, now) if isinstance(value, str))
        if secret and key.startswith("environment."):
            both = was is not None and now is not None
            masked = (was and HIDDEN, now and HIDDEN)
            changes.append(Change(key, *masked, hidden=both))
        else:
            changes.append(Change(key, was, now))
    return tuple(changes)


def _flat(plain: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping) and value:
            result.update(_flat(value, f"{path}{key}."))
        else:
            result[f"{path}{key}"] = value
    return result


def _plain(workload: Workload, mask: bool) -> dict[str, Any]:
    default = Workload()
    result: dict[str, Any] = {}

    def put(key: str, value: Any) -> None:
        if value not in (None, (), [], {}, ""):
            result[key] = value

    for name in _SAME_NAME:
        if getattr(workload, name) != getattr(default, name):
            result[name] = getattr(workload, name)
    for name in ("command", "entrypoint"):
        if getattr(workload, name) is not None:
            result[name] = list(getattr(workload, name))
    put("environment", {name: _masked(name, value, mask) for name, value in workload.environment.items()})
    put("secrets", {ref.variable: f"{ref.source}: {ref.reference}" for ref in workload.secrets})
    put("volumes", [_mount(mount) for mount in workload.mounts if mount.kind is not MountKind.TMPFS])
    put("tmpfs", [mount.target for mount in workload.mounts if mount.kind is MountKind.TMPFS])
    put("ports", [_port(port) for port in workload.ports])
    for name in _LISTS:
        put(name, list(getattr(workload, name)))
    for name in _PAIRS:
        put(name, dict(getattr(workload, name)))
    put("healthcheck", _healthcheck(workload.healthcheck) if workload.healthcheck else None)
    put("deploy", _deploy(workload))
    if workload.stop_grace_s != default.stop_grace_s:
        result["stop_grace_period"] = duration_text(workload.stop_grace_s)
    put("ulimits", {name: {"soft": soft, "hard": hard} for name, (soft, hard) in workload.ulimits.items()})
    put("shm_size", byte_text(workload.shm_bytes) if workload.shm_bytes is not None else None)
    logging = {"driver": workload.log_driver, "options": dict(workload.log_options)}
    put("logging", {key: value for key, value in logging.items() if value})
    probes = {"readiness": workload.readiness, "liveness": workload.liveness}
    put("probes", {name: _probe(probe) for name, probe in probes.items() if probe})
    put("routes", [_route(route) for route in workload.routes])
    return result


def _masked(name: str, value: str, mask: bool) -> str:
    return HIDDEN if mask and looks_secret(name, value) else value


def _mount(mount: Mount) -> str:
    source = f"{mount.source}:" if mount.source else ""
    return f"{source}{mount.target}{':ro' if mount.read_only else ''}"


def _port(port: PublishedPort) -> str:
    address = f"[{port.host_address}]" if ":" in port.host_address else port.host_address
    protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return f"{address}{':' if address else ''}{port.host_port}:{port.container_port}{protocol}"


def _healthcheck(check: HealthCheck) -> dict[str, Any]:
    if check.disable:
        return {"disable": True}
    times = {"interval": check.interval_s, "timeout": check.timeout_s, "start_period": check.start_period_s}
    test = {"test": list(check.test)} if check.test else {}
    return {**test, **{name: duration_text(value) for name, value in times.items()}, "retries": check.retries}


def _deploy(workload: Workload) -> dict[str, Any]:
    limits = workload.resources
    memory = byte_text(limits.memory_bytes) if limits.memory_bytes is not None else None
    given = {"cpus": limits.cpus, "memory": memory, "pids": limits.pids}
    known = {name: value for name, value in given.items() if value is not None}
    replicas = {"replicas": workload.replicas} if workload.replicas != 1 else {}
    return {**replicas, **({"resources": {"limits": known}} if known else {})}


def _probe(probe: Probe) -> dict[str, Any]:
    default = Probe(probe.kind)
    match probe.kind:
        case ProbeKind.HTTP:
            asked: dict[str, Any] = {"httpGet": {"port": probe.port, "path": probe.path}}
        case ProbeKind.TCP:
            asked = {"tcp": probe.port}
        case ProbeKind.EXEC:
            asked = {"exec": list(probe.command)}
    for name in ("initial_delay", "period", "timeout"):
        if getattr(probe, f"{name}_s") != getattr(default, f"{name}_s"):
            asked[name] = duration_text(getattr(probe, f"{name}_s"))
    for name in ("failure_threshold", "success_threshold"):
        if getattr(probe, name) != getattr(default, name):
            asked[name] = getattr(probe, name)
    return asked


def _route(route: Route) -> dict[str, Any]:
    default = Route(route.listen, route.target)
    result: dict[str, Any] = {"listen": route.listen, "target": route.target}
    for name in ("protocol", "host", "path"):
        if getattr(route, name) != getattr(default, name):
            result[name] = str(getattr(route, name))
    if route.tls:
        result["tls"] = {"certificate": route.tls.certificate, "key": route.tls.key}
    if route.timeout_s:
        result["timeout"] = duration_text(route.timeout_s)
    return result
