"""A workload in the words of the Engine API: the body of POST /containers/create. Pure.

Source: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from tidegate.adapters.platform.docker.labels import instance_labels, task_labels
from tidegate.model.desired import InstanceGoal, TaskGoal, reported_name
from tidegate.model.errors import UsageError
from tidegate.model.release import AgentKey
from tidegate.model.workload import HealthCheck, Mount, MountKind, PublishedPort, Resources, Workload

OTEL = "OTEL_RESOURCE_ATTRIBUTES"
NANO = 1_000_000_000


@dataclass(frozen=True)
class Placement:
    """What the host adds to a workload: the image's id, the network and fixed address, secrets' values, Tidegate's own.

    `secrets` and `token` are values: nothing that holds a Placement may be printed, and repr leaves them out.
    """

    image: str
    network: str = ""
    address: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = ""
    token: str = field(default="", repr=False)
    image_attributes: str = ""


def own_network(workload: Workload) -> bool:
    """Whether the instance joins our network; host, none and another container's network leave no choice."""
    return workload.network_mode in ("", "bridge", "default")


def create_body(key: AgentKey, goal: InstanceGoal, placement: Placement) -> dict[str, Any]:
    """The request body for one instance. Empty values are left out, so that the image's own apply."""
    workload = goal.revision.workload
    body: dict[str, Any] = {
        "Image": placement.image,
        "Labels": instance_labels(key, goal),
        "Env": [f"{name}={value}" for name, value in sorted(environment(key, goal, placement).items())],
        "Cmd": None if workload.command is None else list(workload.command),
        "Entrypoint": None if workload.entrypoint is None else list(workload.entrypoint),
        "User": workload.user,
        "WorkingDir": workload.working_dir,
        "Hostname": workload.hostname,
        "StopSignal": workload.stop_signal,
        "StopTimeout": math.ceil(workload.stop_grace_s),
        "Healthcheck": health_check(workload.healthcheck),
        "ExposedPorts": {_port_key(port): {} for port in workload.ports},
        "HostConfig": host_config(workload, placement),
    }
    if own_network(workload) and placement.network:
        endpoint: dict[str, Any] = {"Aliases": [key.agent]}
        if placement.address:
            endpoint["IPAMConfig"] = {"IPv4Address": placement.address}
        body["NetworkingConfig"] = {"EndpointsConfig": {placement.network: endpoint}}
    return _without_blanks(body)


def task_body(key: AgentKey, goal: TaskGoal, placement: Placement) -> dict[str, Any]:
    """The request body for a task: as an instance's, on our network without a fixed address, and never restarted."""
    workload = goal.workload
    body: dict[str, Any] = {
        "Image": placement.image,
        "Labels": task_labels(key, goal),
        "Env": [f"{name}={value}" for name, value in sorted(environment(key, goal, placement).items())],
        "Cmd": None if workload.command is None else list(workload.command),
        "Entrypoint": None if workload.entrypoint is None else list(workload.entrypoint),
        "User": workload.user,
        "WorkingDir": workload.working_dir,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {**host_config(workload, placement), "RestartPolicy": restart_policy("no")},
    }
    return _without_blanks(body)


def environment(key: AgentKey, goal: InstanceGoal | TaskGoal, placement: Placement) -> dict[str, str]:
    """Variables of the container: the workload's, then the secrets, then Tidegate's own (which win)."""
    workload, revision = goal.workload if isinstance(goal, TaskGoal) else goal.revision.workload, goal.revision
    variables = {**workload.environment, **placement.secrets}
    theirs = variables.get(OTEL, placement.image_attributes)
    ours = {
        "service.name": key.agent,
        "service.version": revision.release.version,
        "service.instance.id": reported_name(key, goal.name),
        "deployment.environment.name": key.environment,
    }
    variables |= {
        OTEL: merge_attributes(theirs, ours),
        "TIDEGATE_AGENT": key.agent,
        "TIDEGATE_ENVIRONMENT": key.environment,
        "TIDEGATE_INSTANCE": reported_name(key, goal.name),
        "TIDEGATE_REVISION": str(revision.runs_as),
    }
    if placement.url:
        variables["TIDEGATE_URL"] = placement.url
    if placement.token:
        variables["TIDEGATE_AGENT_TOKEN"] = placement.token
    return variables


def merge_attributes(theirs: str, ours: Mapping[str, str]) -> str:
    """Resource attributes, the user's own kept; ours win, because comparing revisions stands on them.

    Format: https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    """
    merged: dict[str, str] = {}
    for pair in theirs.split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            merged[name.strip()] = unquote(value.strip())
    merged |= ours
    return ",".join(f"{name}={quote(value, safe=_OTEL_SAFE)}" for name, value in merged.items())


_OTEL_SAFE = "!#$&'()*+-./:<>?@[]^_`{|}~"


def health_check(check: HealthCheck | None) -> dict[str, Any] | None:
    """The engine's health check; None keeps the image's own."""
    if check is None:
        return None
    if check.disable:
        return {"Test": ["NONE"]}
    return {
        "Test": list(check.test),
        "Interval": round(check.interval_s * NANO),
        "Timeout": round(check.timeout_s * NANO),
        "Retries": check.retries,
        "StartPeriod": round(check.start_period_s * NANO),
    }


def host_config(workload: Workload, placement: Placement) -> dict[str, Any]:
    """What the host gives the container and what it keeps from it."""
    network = placement.network if own_network(workload) and placement.network else workload.network_mode
    config: dict[str, Any] = {
        "NetworkMode": network,
        "RestartPolicy": restart_policy(workload.restart),
        "Mounts": [_mount(mount) for mount in workload.mounts],
        "PortBindings": port_bindings(workload.ports),
        "Init": workload.init or None,
        "ReadonlyRootfs": workload.read_only,
        "Privileged": workload.privileged,
        "CapAdd": list(workload.cap_add),
        "CapDrop": list(workload.cap_drop),
        "SecurityOpt": list(workload.security_opt),
        "ExtraHosts": list(workload.extra_hosts),
        "Dns": list(workload.dns),
        "Devices": [_device(device) for device in workload.devices],
        "GroupAdd": list(workload.group_add),
        "Sysctls": dict(workload.sysctls),
        "Ulimits": [{"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in workload.ulimits.items()],
        "ShmSize": workload.shm_bytes,
        **_limits(workload.resources),
    }
    if workload.log_driver or workload.log_options:
        config["LogConfig"] = {"Type": workload.log_driver or "json-file", "Config": dict(workload.log_options)}
    return _without_blanks(config)


def restart_policy(text: str) -> dict[str, Any]:
    """Compose's `restart` as the engine's policy. Raises UsageError."""
    name, _, count = (text or "no").partition(":")
    if name not in ("no", "always", "unless-stopped", "on-failure") or (count and not count.isdecimal()):
        raise UsageError(
            f"restart: {text!r} is not a restart policy", hint="no, always, unless-stopped, on-failure, on-failure:N"
        )
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def port_bindings(ports: tuple[PublishedPort, ...]) -> dict[str, list[dict[str, str]]]:
    """Published ports, grouped by the container's port as the engine wants it."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host = {"HostIp": port.host_address, "HostPort": str(port.host_port) if port.host_port else ""}
        bindings.setdefault(_port_key(port), []).append(host)
    return bindings


def _port_key(port: PublishedPort) -> str:
    return f"{port.container_port}/{port.protocol}"


def _limits(resources: Resources) -> dict[str, Any]:
    # MemorySwap equal to Memory means no swap: otherwise the engine allows the same amount again on disk, and an
    # instance over its limit makes its neighbours slow instead of being killed.
    return {
        "NanoCpus": None if resources.cpus is None else round(resources.cpus * NANO),
        "Memory": resources.memory_bytes,
        "MemorySwap": resources.memory_bytes,
        "PidsLimit": resources.pids,
    }


def _mount(mount: Mount) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": str(mount.kind), "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.kind is not MountKind.TMPFS and mount.source:
        body["Source"] = mount.source
    return body


def _device(text: str) -> dict[str, str]:
    host, _, rest = text.partition(":")
    inside, _, rights = rest.partition(":")
    return {"PathOnHost": host, "PathInContainer": inside or host, "CgroupPermissions": rights or "rwm"}


def _without_blanks(body: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing. An empty Cmd or Entrypoint does say something: it clears the image's; so does 0."""
    speaking = ("Cmd", "Entrypoint")
    return {
        key: value
        for key, value in body.items()
        if value is not None and value is not False and (key in speaking or value not in ("", [], {}))
    }
