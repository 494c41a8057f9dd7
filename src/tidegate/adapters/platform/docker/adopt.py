"""Reading a container that someone started by hand as a Workload. Pure: inspect of the container and its image in.

What the image sets by itself is left out, so that the next release may bring its own. What a Workload has no key for
is named in `lost`; values that look secret leave the workload and are handed over apart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.adapters.platform.docker.translate import NANO, OTEL
from tidegate.model.errors import UsageError
from tidegate.model.release import Image
from tidegate.model.secrecy import looks_secret, secret_arguments, value_looks_secret
from tidegate.model.workload import HealthCheck, Mount, MountKind, PortProtocol, PublishedPort, Resources, Workload

DEFAULT_NETWORKS = ("", "default", "bridge")
DEFAULT_SHM = 64 * 1024 * 1024
FOREIGN_LABELS = ("com.docker.compose.", "com.docker.stack.", "com.docker.swarm.", "dev.tidegate.")
"""Labels by which another tool finds its containers; carried over, that tool would take ours for its own."""

UNKNOWN_KEYS = (
    "Links", "VolumesFrom", "CpusetCpus", "CpusetMems", "CpuShares", "MemoryReservation", "PidMode", "UTSMode",
    "UsernsMode", "CgroupParent", "DeviceRequests", "DeviceCgroupRules", "BlkioWeight", "OomKillDisable",
    "OomScoreAdj", "DnsSearch", "DnsOptions", "StorageOpt", "VolumeDriver", "AutoRemove",
)  # fmt: skip


@dataclass(frozen=True)
class Adoption:
    """A container as it was found. `secrets` are values: repr leaves them out, and nobody may store them but files."""

    container: str
    id: str
    image: Image
    workload: Workload
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    lost: tuple[str, ...] = ()


def read_adoption(facts: Mapping[str, Any], image: Mapping[str, Any]) -> Adoption:
    """The adoption of one container, from its inspect and its image's. Raises UsageError for what cannot be kept."""
    name, config, host = str(facts["Name"]).lstrip("/"), facts["Config"], facts["HostConfig"]
    theirs: Mapping[str, Any] = image.get("Config") or {}
    _refuse_secret_words(name, config)
    environment = _environment(config, theirs)
    secrets = {key: value for key, value in environment.items() if looks_secret(key, value)}
    workload_labels, dropped = _labels(config.get("Labels") or {}, theirs.get("Labels") or {})
    mode, networks = _networks(host, facts["NetworkSettings"].get("Networks") or {})
    entrypoint = _unless_same(config, theirs, "Entrypoint")
    workload = Workload(
        image=str(config["Image"]),
        # A given entry point clears the image's command, so the command is then told even when it looks the same.
        command=_unless_same(config, theirs, "Cmd") if entrypoint is None else tuple(config.get("Cmd") or ()),
        entrypoint=entrypoint,
        environment={key: value for key, value in environment.items() if key not in secrets},
        mounts=_mounts(facts),
        ports=_ports(facts),
        networks=networks,
        network_mode=mode,
        healthcheck=_health_check(config.get("Healthcheck"), theirs.get("Healthcheck")),
        resources=_resources(host),
        restart=_restart(host.get("RestartPolicy") or {}),
        stop_signal=_own(config, theirs, "StopSignal"),
        stop_grace_s=float(10 if config.get("StopTimeout") is None else config["StopTimeout"]),
        user=_own(config, theirs, "User"),
        working_dir=_own(config, theirs, "WorkingDir"),
        hostname="" if str(facts["Id"]).startswith(str(config.get("Hostname"))) else str(config.get("Hostname") or ""),
        labels=workload_labels,
        **_host_keys(host),
    )
    repositories = image.get("RepoDigests") or ()
    digest = str(repositories[0]).partition("@")[2] if repositories else ""
    lost = (*(f"{key} {host[key]}" for key in UNKNOWN_KEYS if host.get(key)), *dropped)
    found = Image(str(config["Image"]), str(facts["Image"]), digest)
    return Adoption(name, str(facts["Id"]), found, workload, secrets, lost)


def _refuse_secret_words(name: str, config: Mapping[str, Any]) -> None:
    """A command cannot refer to a secret, and Tidegate stores commands: better refuse than store it in the clear."""
    for key in ("Entrypoint", "Cmd"):
        if found := secret_arguments(config.get(key) or ()):
            raise UsageError(
                f"{name}: word {found[0] + 1} of its {key} looks like a secret, which would be stored in the clear",
                hint="start it with the value in an environment variable or a mounted file, then adopt it",
            )
    if secret_arguments((config.get("Healthcheck") or {}).get("Test") or ()):
        raise UsageError(f"{name}: its health check holds what looks like a secret", hint="read it from a variable")


def _environment(config: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    given = set(theirs.get("Env") or ())
    pairs = (str(pair).partition("=") for pair in config.get("Env") or () if pair not in given)
    return {key: value for key, _, value in pairs if not (key.startswith("TIDEGATE_") and key != OTEL)}


def _labels(found: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    own = {key: value for key, value in found.items() if theirs.get(key) != value}
    kept = {k: v for k, v in own.items() if not k.startswith(FOREIGN_LABELS) and not value_looks_secret(v)}
    return kept, tuple(f"label {key}" for key in own if key not in kept)


def _networks(host: Mapping[str, Any], joined: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    mode = str(host.get("NetworkMode") or "")
    if mode in ("host", "none") or mode.startswith("container:"):
        return mode, ()
    return "", tuple(network for network in joined if network not in DEFAULT_NETWORKS)


def _mounts(facts: Mapping[str, Any]) -> tuple[Mount, ...]:
    mounts = []
    for mount in facts.get("Mounts") or ():
        kind = MountKind(mount["Type"])
        # A volume without a name given has one all the same: kept by it, its data stays.
        source = {MountKind.VOLUME: mount.get("Name"), MountKind.BIND: mount.get("Source")}.get(kind)
        mounts.append(Mount(kind, str(mount["Destination"]), str(source or ""), not mount.get("RW", True)))
    tmpfs = (facts["HostConfig"].get("Tmpfs") or {}).keys() - {mount.target for mount in mounts}
    return (*mounts, *(Mount(MountKind.TMPFS, target) for target in sorted(tmpfs)))


def _ports(facts: Mapping[str, Any]) -> tuple[PublishedPort, ...]:
    """Published ports; one that the engine chose is kept at what it chose. "" and 0.0.0.0 are the same address."""
    wanted = facts["HostConfig"].get("PortBindings") or {}
    actual = facts["NetworkSettings"].get("Ports") or {}
    ports: dict[PublishedPort, None] = {}
    for inside in wanted.keys() | {key for key, bound in actual.items() if bound}:
        number, _, protocol = inside.partition("/")
        for binding in actual.get(inside) or wanted.get(inside) or ():
            if ":" in str(binding.get("HostIp") or "") or not str(binding.get("HostPort") or ""):
                continue  # the same port once more, by IPv6; or none was chosen yet
            address = str(binding.get("HostIp") or "").replace("0.0.0.0", "")  # noqa: S104
            ports[PublishedPort(int(binding["HostPort"]), int(number), PortProtocol(protocol or "tcp"), address)] = None
    return tuple(sorted(ports, key=lambda port: (port.host_port, port.protocol)))


def _health_check(found: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> HealthCheck | None:
    if not found or found == theirs:
        return None
    if found.get("Test") == ["NONE"]:
        return HealthCheck(disable=True)
    return HealthCheck(
        test=tuple(found.get("Test") or ()),
        interval_s=(found.get("Interval") or 30 * NANO) / NANO,
        timeout_s=(found.get("Timeout") or 30 * NANO) / NANO,
        retries=found.get("Retries") or 3,
        start_period_s=(found.get("StartPeriod") or 0) / NANO,
    )


def _resources(host: Mapping[str, Any]) -> Resources:
    cpus = (host.get("NanoCpus") or 0) / NANO
    if not cpus and host.get("CpuQuota"):
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    pids = host.get("PidsLimit") or 0
    return Resources(cpus or None, host.get("Memory") or None, pids if pids > 0 else None)


def _restart(policy: Mapping[str, Any]) -> str:
    name, count = str(policy.get("Name") or "no"), int(policy.get("MaximumRetryCount") or 0)
    return f"{name}:{count}" if count else name


def _host_keys(host: Mapping[str, Any]) -> dict[str, Any]:
    log = host.get("LogConfig") or {}
    usual = log.get("Type") in (None, "json-file") and not log.get("Config")
    shm = host.get("ShmSize") or 0
    return {
        "init": bool(host.get("Init")),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "privileged": bool(host.get("Privileged")),
        "cap_add": tuple(host.get("CapAdd") or ()),
        "cap_drop": tuple(host.get("CapDrop") or ()),
        # A privileged container shows label=disable, which the engine adds by itself.
        "security_opt": tuple(o for o in host.get("SecurityOpt") or () if o != "label=disable"),
        "extra_hosts": tuple(host.get("ExtraHosts") or ()),
        "dns": tuple(host.get("Dns") or ()),
        "devices": tuple(
            f"{d['PathOnHost']}:{d['PathInContainer']}:{d['CgroupPermissions']}" for d in host.get("Devices") or ()
        ),
        "group_add": tuple(host.get("GroupAdd") or ()),
        "sysctls": dict(host.get("Sysctls") or {}),
        "ulimits": {u["Name"]: (u["Soft"], u["Hard"]) for u in host.get("Ulimits") or ()},
        "shm_bytes": None if shm in (0, DEFAULT_SHM) else shm,
        "log_driver": "" if usual else str(log["Type"]),
        "log_options": {} if usual else dict(log.get("Config") or {}),
    }


def _unless_same(config: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    found = tuple(config.get(key) or ())
    return None if found == tuple(theirs.get(key) or ()) else found


def _own(config: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> str:
    found = str(config.get(key) or "")
    return "" if found == str(theirs.get(key) or "") else found
