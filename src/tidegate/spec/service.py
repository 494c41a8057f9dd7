"""The keys of a Compose service, and how they become a Workload.

Source: https://docs.docker.com/reference/compose-file/services/
"""

import ipaddress
import math
import re
from typing import Any

from tidegate.model.workload import Mount, Resources, Workload
from tidegate.spec.context import Context
from tidegate.spec.document import Node
from tidegate.spec.environment import ENV_FILE, merge_environment
from tidegate.spec.health import HEALTHCHECK
from tidegate.spec.kinds import (
    COMMAND,
    WORD,
    OneOrMore,
    Pairs,
    byte_size,
    duration,
    flag,
    free,
    number,
    text,
    whole,
)
from tidegate.spec.mounts import DEVICES, TMPFS, VOLUMES
from tidegate.spec.ports import PORTS
from tidegate.spec.refused import DEPLOY_REFUSED, RESERVATIONS, SERVICE_REFUSED
from tidegate.spec.shapes import INVALID, Key, ListOf, MapOf, Object, Record, Scalar, mismatch

IMAGE = text(
    "an image: name, name:tag or name@sha256:digest",
    r"(?:[A-Za-z0-9][A-Za-z0-9.\-]*(?::[0-9]{1,5})?/|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    hint="names are lower case: registry.example.org/team/agent:1.4.0",
)
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:[0-9]{1,6})?")
_RESTART_JSON = {"type": "string", "pattern": f"^({_RESTART.pattern})$|\\$"}


def _restart(node: Node) -> str:
    if node.value is False:
        raise ValueError('write "no" in quotes')
    if not _RESTART.fullmatch(node.text):
        raise ValueError("")
    return node.text


def _ip(written: str) -> str:
    try:
        return str(ipaddress.ip_address(written))
    except ValueError:
        raise ValueError("write an IP address") from None


class _Networks:
    """A list of names, or a mapping of names to nothing (addresses and aliases are ours to give)."""

    expected = "a list of networks"

    def read(self, node: Node, context: Context) -> Any:
        """The names."""
        if isinstance(node.value, dict):
            for child in node.value.values():
                if child.value:
                    context.warn(child.where, "options of a network have no effect here", "take them out")
            return tuple(node.value)
        return ListOf(text("a network's name"), expected=self.expected).read(node, context)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Either form."""
        return {"anyOf": [{"type": "array", "items": {"type": "string", "minLength": 1}}, {"type": "object"}]}


class _Ulimit:
    """A number for both limits, or soft and hard; -1 is unlimited."""

    expected = "a whole number, or soft and hard"
    _number = whole(-1, 2**63 - 1)

    def read(self, node: Node, context: Context) -> Any:
        """(soft, hard)."""
        if isinstance(node.value, dict):
            soft, hard = node.value.get("soft"), node.value.get("hard")
            if soft is None or hard is None or len(node.value) != 2:
                return mismatch(node, "soft and hard", context, "write {soft: 1024, hard: 4096}")
            limits = (self._number.read(soft, context), self._number.read(hard, context))
            if INVALID in limits:
                return INVALID
            if limits[0] > limits[1] >= 0 or (limits[0] == -1 and limits[1] != -1):
                return mismatch(node, "soft no higher than hard", context, "raise hard")
            return limits
        value = self._number.read(node, context)
        return value if value is INVALID else (value, value)

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Either form."""
        single = self._number.schema(definitions)
        both = {"type": "object", "properties": {"soft": single, "hard": single}, "required": ["soft", "hard"]}
        return {"anyOf": [single, {**both, "additionalProperties": False}]}


CPUS = number(0.001, "a number of cores such as 0.5")
_LIMITS = Object(
    "limits",
    "What one instance may use at most.",
    (
        Key("cpus", CPUS, "Cores.", "no limit"),
        Key("memory", byte_size(), "Memory; beyond it the kernel ends the instance.", "no limit"),
        Key("pids", whole(1, 4194304), "Processes and threads.", "no limit"),
    ),
    belongs={"pids_limit": "pids", "mem_limit": "memory"},
)
_RESOURCES = Object(
    "resources",
    "Limits of one instance.",
    (Key("limits", _LIMITS, "What one instance may use at most.", "no limits"),),
    refused={"reservations": RESERVATIONS},
    belongs={"cpus": "limits.cpus", "memory": "limits.memory", "pids": "limits.pids"},
)
_DEPLOY = Object(
    "deploy",
    "How many instances, and what each may use.",
    (
        Key("replicas", whole(0, 1000), "Number of instances.", "1"),
        Key("resources", _RESOURCES, "Limits of one instance.", "no limits"),
    ),
    refused=DEPLOY_REFUSED,
    belongs={"limits": "deploy.resources.limits"},
)
_LOGGING = Object(
    "logging",
    "The engine's log driver.",
    (
        Key("driver", text("a log driver's name", r"[a-z0-9\-_/.:]+", example="json-file"), "Driver.", "the engine's"),
        Key("options", Pairs("option", bare=False), "Options of the driver.", "none"),
    ),
)
_LABELS = Pairs("label")
_HOSTS = Pairs("host", separators=("=", ":"), bare=False)

SERVICE_KEYS: tuple[Key, ...] = (
    Key("image", IMAGE, "Image to run; a build gives it when absent.", "what build makes"),
    Key("command", COMMAND, "Arguments, or the whole command when the image has no entrypoint.", "the image's"),
    Key("entrypoint", COMMAND, "Program to run.", "the image's"),
    Key("environment", Pairs("name"), "Environment variables. Secrets go to environments.NAME.secrets.", "none"),
    Key("env_file", ENV_FILE, "Files of NAME=value lines; environment wins over them.", "none"),
    Key("volumes", VOLUMES, "Volumes and host paths: SOURCE:TARGET[:ro].", "none"),
    Key("tmpfs", TMPFS, "Directories kept in memory.", "none"),
    Key("ports", PORTS, "Ports of the host that go past the gateway: HOST:CONTAINER[/udp].", "none"),
    Key("networks", _Networks(), "Networks to join besides Tidegate's own.", "none"),
    Key(
        "network_mode",
        text("bridge, host or none", "bridge|host|none", hint="for a network of your own write networks: [name]"),
        "The engine's network mode.",
        "Tidegate's own network",
    ),
    Key("healthcheck", HEALTHCHECK, "The engine's own check.", "the image's"),
    Key("deploy", _DEPLOY, "Replicas and limits.", "one instance, no limits"),
    Key("cpus", CPUS, "Cores; the same as deploy.resources.limits.cpus.", "no limit"),
    Key("mem_limit", byte_size(), "Memory; the same as deploy.resources.limits.memory.", "no limit"),
    Key("pids_limit", whole(1, 4194304), "Processes; the same as deploy.resources.limits.pids.", "no limit"),
    Key("scale", whole(0, 1000), "Number of instances; the same as deploy.replicas.", "1"),
    Key(
        "restart",
        Scalar("no, always, unless-stopped or on-failure[:N]", _restart, _RESTART_JSON),
        "What the engine does when the process ends.",
        "unless-stopped",
    ),
    Key(
        "stop_signal",
        text("a signal", r"(SIG)?[A-Z0-9+\-]{1,12}|[0-9]{1,2}", example="SIGINT"),
        "First signal.",
        "SIGTERM",
    ),
    Key("stop_grace_period", duration(), "Time between the first signal and SIGKILL.", "10s"),
    Key("user", free("a user: name, uid or uid:gid", str, "write 1000:1000"), "Who runs the process.", "the image's"),
    Key("working_dir", text("an absolute path", r"/.*", example="/srv"), "Directory to start in.", "the image's"),
    Key(
        "hostname",
        text("a host name", r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?"),
        "Host name inside.",
        "the id",
    ),
    Key("init", flag(), "Run a small init as process 1, which passes on signals and reaps children.", "false"),
    Key("read_only", flag(), "Make the image's file system read-only.", "false"),
    Key("privileged", flag(), "Give the container the rights of the host's root.", "false"),
    Key("cap_add", ListOf(text("a capability", example="NET_ADMIN")), "Capabilities to add.", "none"),
    Key("cap_drop", ListOf(text("a capability", example="ALL")), "Capabilities to take away.", "none"),
    Key("security_opt", ListOf(text("an option", example="no-new-privileges:true")), "Security options.", "none"),
    Key("extra_hosts", _HOSTS, "Names for /etc/hosts: host=address.", "none"),
    Key("dns", OneOrMore(free("an IP address", _ip, "write 10.0.0.53")), "Name servers.", "the engine's"),
    Key("devices", DEVICES, "Devices of the host.", "none"),
    Key("group_add", ListOf(WORD), "More groups for the user.", "none"),
    Key("sysctls", Pairs("parameter", bare=False), "Kernel parameters of the container.", "none"),
    Key("ulimits", MapOf(_Ulimit(), "limit"), "Limits of the process: name: N or {soft, hard}.", "the engine's"),
    Key("shm_size", byte_size(), "Size of /dev/shm.", "64m"),
    Key("logging", _LOGGING, "The engine's log driver.", "the engine's"),
    Key("labels", _LABELS, "Labels of the container.", "none"),
)


def build_workload(record: Record, context: Context) -> Workload:
    """The workload of a service that was read. Probes, routes and secrets are added by the environment."""
    deploy: Record | dict[str, Any] = record.get("deploy", {})
    logging = record.get("logging", {})
    mounts: dict[str, Mount] = {}
    for mount in (*record.get("volumes", ()), *record.get("tmpfs", ())):
        mounts[mount.target] = mount  # the later wins, as in Compose's merge
    hosts = record.get("extra_hosts", {})
    return Workload(
        image=record.get("image", ""),
        command=record.get("command"),
        entrypoint=record.get("entrypoint"),
        environment=merge_environment(record, context),
        mounts=tuple(mounts.values()),
        ports=_unique(port for entry in record.get("ports", ()) for port in entry),
        networks=_unique(record.get("networks", ())),
        network_mode=record.get("network_mode", ""),
        healthcheck=record.get("healthcheck"),
        resources=_resources(record, deploy),
        restart=record.get("restart", "unless-stopped"),
        replicas=deploy.get("replicas", record.get("scale", 1)),
        stop_signal=record.get("stop_signal", ""),
        stop_grace_s=record.get("stop_grace_period", 10.0),
        user=record.get("user", ""),
        working_dir=record.get("working_dir", ""),
        hostname=record.get("hostname", ""),
        init=record.get("init", False),
        read_only=record.get("read_only", False),
        privileged=record.get("privileged", False),
        cap_add=_unique(record.get("cap_add", ())),
        cap_drop=_unique(record.get("cap_drop", ())),
        security_opt=_unique(record.get("security_opt", ())),
        extra_hosts=tuple(f"{name}:{address}" for name, address in hosts.items()),
        dns=_unique(record.get("dns", ())),
        devices=_unique(record.get("devices", ())),
        group_add=_unique(record.get("group_add", ())),
        sysctls=record.get("sysctls", {}),
        ulimits=record.get("ulimits", {}),
        shm_bytes=record.get("shm_size"),
        log_driver=logging.get("driver", ""),
        log_options=logging.get("options", {}),
        labels={name: value or "" for name, value in record.get("labels", {}).items()},
    )


def _unique(values: Any) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _resources(record: Record, deploy: Any) -> Resources:
    limits = deploy.get("resources", {}).get("limits", {})
    cpus = limits.get("cpus", record.get("cpus"))
    return Resources(
        cpus=cpus if cpus is None or math.isfinite(cpus) else None,
        memory_bytes=limits.get("memory", record.get("mem_limit")),
        pids=limits.get("pids", record.get("pids_limit")),
    )


def _build(record: Record, context: Context) -> Workload:
    return build_workload(record, context)


BELONGS = {
    "replicas": "deploy.replicas",
    "resources": "deploy.resources",
    "limits": "deploy.resources.limits",
    "memory": "deploy.resources.limits.memory",
    "readiness": "probes.readiness, at the top of the file",
    "liveness": "probes.liveness, at the top of the file",
    "probes": "probes, at the top of the file",
    "routes": "routes, at the top of the file",
}
SERVICE = Object("service", "Keys of a Compose service.", SERVICE_KEYS, SERVICE_REFUSED, belongs=BELONGS, build=_build)
WORKLOAD = Object(
    "workload",
    "What runs, in the keys of a Compose service; or a service of a compose file, with more keys merged over it.",
    (
        Key("compose", text("a path", example="compose.yaml"), "A compose file, relative to this one.", "none"),
        Key("service", text("a service's name"), "The service in it.", "the only one"),
        *SERVICE_KEYS,
    ),
    SERVICE_REFUSED,
    belongs=BELONGS,
    build=_build,
)
