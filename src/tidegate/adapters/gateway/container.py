"""The gateway's container: created, started, replaced without dropping a request, stopped with draining.

It has a generation in its name (tidegate-gateway-1, -2 ...): creating it is a compare-and-set, and a successor runs
beside it while it drains; both listen on the same ports (SO_REUSEPORT) and read the same volume. Where the host's
network is not to be had (Docker Desktop, rootless) it joins the agents' and publishes its ports, fixed at its creation:
it is then replaced for every new port, and a successor cannot run beside it. Root in the container,
because ports below 1024 need it, with every capability dropped but that one, and nothing writable but the volume.
"""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import aiodocker
import aiohttp

from tidegate.adapters.gateway import names
from tidegate.adapters.gateway.session import RUN, Session
from tidegate.adapters.reach import is_walled
from tidegate.model.errors import EngineError, GatewayError
from tidegate.model.workload import fingerprint

Json = dict[str, Any]
LABEL = "dev.tidegate.gateway"
GENERATION = f"{LABEL}.generation"
CONFIG = f"{LABEL}.config"
PORTS = f"{LABEL}.ports"
HOST = "host"
BRIDGE = "tidegate"
"""The agents' network."""
CREATING_TRIES = 50
ERRORS = (aiodocker.DockerError, aiohttp.ClientError, OSError, TimeoutError)


@dataclass(frozen=True)
class Options:
    """How the gateway's container is made. Seconds; `threads` 0 means one a core, four at most.

    `network` HOST or BRIDGE; empty: as the engine needs it. `ports` are published when it is not HOST.
    """

    name: str = "tidegate-gateway"
    image: str = ""
    network: str = ""
    ports: tuple[int, ...] = ()
    threads: int = 0
    drain_s: int = 10
    ready_s: float = 15.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A gateway container as the engine lists it. `ports` are those that it publishes; None on the host's network."""

    id: str
    name: str
    generation: int
    running: bool
    config: str
    ports: frozenset[int] | None = None


async def find(docker: aiodocker.Docker, options: Options) -> tuple[Found, ...]:
    """Gateway containers of this name, newest generation first. Raises EngineError."""
    filters = {"label": [f"{LABEL}={options.name}"]}
    try:
        listed = await docker._query_json(
            "containers/json", method="GET", params={"all": "1", "filters": json.dumps(filters)}
        )
    except ERRORS as error:
        raise EngineError(f"cannot list the gateway's containers: {error}") from error
    found = (_found(facts, facts["Labels"]) for facts in listed if GENERATION in facts["Labels"])
    return tuple(sorted(found, key=lambda container: -container.generation))


def _found(facts: Json, labels: Mapping[str, str]) -> Found:
    name = str(facts["Names"][0]).lstrip("/")
    ports = frozenset(int(port) for port in labels[PORTS].split(",") if port) if PORTS in labels else None
    return Found(facts["Id"], name, int(labels[GENERATION]), facts["State"] == "running", labels.get(CONFIG, ""), ports)


async def ensure(docker: aiodocker.Docker, options: Options) -> None:
    """Make sure that a gateway container runs: the newest that exists, else a first one. Raises EngineError."""
    found = await find(docker, options)
    if any(container.running for container in found):
        return
    await start(docker, found[0].name if found else await create(docker, options, 1))


async def wanted(docker: aiodocker.Docker, options: Options) -> str:
    """The fingerprint of the container that these options ask for."""
    return str(create_body(await _fitted(docker, options))["Labels"][CONFIG])


async def create(docker: aiodocker.Docker, options: Options, generation: int) -> str:
    """Create the container of a generation, unless another controller just did. Returns its name."""
    name = f"{options.name}-{generation}"
    body = create_body(await _fitted(docker, options))
    body["Labels"] |= {GENERATION: str(generation)}
    try:
        await docker.containers.create(body, name=name)
    except aiodocker.DockerError as error:
        if error.status != 409:
            raise EngineError(f"cannot create the gateway {name}: {error.message}") from error
    except ERRORS as error:
        raise EngineError(f"cannot create the gateway {name}: {error}") from error
    return name


async def start(docker: aiodocker.Docker, name: str) -> None:
    """Start a container by name. Raises EngineError.

    A name that another controller is about to create is taken before the container can be found: wait for it.
    """
    for again in range(CREATING_TRIES, -1, -1):
        try:
            await docker.containers.container(name).start()
            return
        except ERRORS as error:
            if not again or getattr(error, "status", 0) != 404:
                raise EngineError(f"cannot start the gateway {name}: {getattr(error, 'message', error)}") from error
        await asyncio.sleep(0.1)


async def try_ports(docker: aiodocker.Docker, options: Options, ports: Collection[int]) -> None:
    """See whether ports of the host can be had, with a container that only waits. Raises EngineError where they cannot.

    A gateway that has to go before its successor gets its ports must not go in vain.
    """
    body = create_body(await _fitted(docker, replace(options, ports=tuple(sorted(ports)))))
    config = {name: body["HostConfig"][name] for name in ("NetworkMode", "PortBindings")}
    command = ["/usr/bin/busybox", "sleep", "60"]
    body = {"Image": body["Image"], "Entrypoint": command, "ExposedPorts": body["ExposedPorts"], "HostConfig": config}
    try:
        tried = await docker.containers.create(body)
        try:
            await tried.start()
        finally:
            await tried.delete(force=True)
    except ERRORS as error:
        wanted = ", ".join(str(port) for port in sorted(ports))
        raise EngineError(f"the gateway cannot have port {wanted}: {getattr(error, 'message', error)}") from error


async def remove(docker: aiodocker.Docker, name: str) -> None:
    """Stop and remove a container; the volume stays. Harmless when it is gone. Raises EngineError."""
    container = docker.containers.container(name)
    try:
        await container.stop(t=2)
        await container.delete(force=True)
    except ERRORS as error:
        if getattr(error, "status", 0) not in {404, 409}:
            raise EngineError(f"cannot remove the gateway {name}: {getattr(error, 'message', error)}") from error


async def remove_volume(docker: aiodocker.Docker, options: Options) -> None:
    """Remove the configuration of a gateway that is gone. Harmless when it is not there. Raises EngineError."""
    try:
        volume = await docker.volumes.get(options.name)  # type: ignore[no-untyped-call]
        await volume.delete()
    except ERRORS as error:
        if getattr(error, "status", 0) != 404:
            raise EngineError(f"cannot remove the gateway's volume: {getattr(error, 'message', error)}") from error


async def connect(docker: aiodocker.Docker, name: str, deadline_s: float) -> Session:
    """Open a session with a container and wait until Envoy is ready. Raises GatewayError."""
    session = Session(docker.containers.container(name))
    await session.open(deadline_s)
    try:
        async with asyncio.timeout(deadline_s):
            while not await _live(session):
                await asyncio.sleep(0.01)
    except TimeoutError:
        await session.close()
        raise GatewayError(
            f"the gateway {name} is not ready after {deadline_s:g} s", hint=f"docker logs {name}"
        ) from None
    return session


async def _live(session: Session) -> bool:
    [info] = await session.ask(["/server_info"])
    return bool(json.loads(info)["state"] == "LIVE")


async def drain(session: Session, drain_s: int) -> int:
    """Finish what is under way: answers close their connections, listeners close after drain_s, then as long again.

    Returns the number of connections that were still open at the end.
    """
    await session.ask(["/healthcheck/fail"], method="POST")
    await session.ask(["/drain_listeners?graceful"], method="POST")
    await asyncio.sleep(drain_s + 0.2)
    loop = asyncio.get_running_loop()
    end = loop.time() + drain_s
    while (left := await connections(session)) and loop.time() < end:
        await asyncio.sleep(0.1)
    return left


async def connections(session: Session) -> int:
    pattern = r"^listener\.[0-9._]+\.downstream_cx_active$"  # not the admin's, not those of single threads
    [text] = await session.ask([f"/stats?format=json&filter={quote(pattern, safe='')}"])
    return sum(int(entry.get("value", 0)) for entry in json.loads(text)["stats"])


def create_body(options: Options) -> Json:
    """The engine's create body, of options that leave nothing open. Pure.

    Its fingerprint is a label, so that a container made otherwise is recognised.
    """
    command = ["--config-yaml", json.dumps(bootstrap(options.name)), "--admin-address-path", f"{RUN}/admin"]
    command += ["--disable-hot-restart", "--concurrency", str(options.threads), "-l", "warning"]
    command += ["--drain-time-s", str(options.drain_s), "--drain-strategy", "immediate"]
    body: Json = {
        "Image": options.image,
        "Entrypoint": ["/usr/bin/busybox", "sh", "-c", _ENTRY, "gateway"],
        "Cmd": command,
        "Env": ["PATH=/usr/bin:/bin"],
        "User": "0:0",
        "Labels": {LABEL: options.name, **options.labels},
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "NetworkMode": options.network,
            "RestartPolicy": {"Name": "unless-stopped"},
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_BIND_SERVICE"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
            "Tmpfs": {RUN: "mode=0700,size=1m"},
            "Mounts": [{"Type": "volume", "Source": options.name, "Target": names.VOLUME}],
        },
    }
    if options.network != HOST:
        body["Labels"][PORTS] = ",".join(str(port) for port in sorted(options.ports))
        body["ExposedPorts"] = {f"{port}/tcp": {} for port in options.ports}
        body["HostConfig"]["PortBindings"] = {f"{port}/tcp": [{"HostPort": str(port)}] for port in options.ports}
    body["Labels"][CONFIG] = fingerprint(body)
    return body


def bootstrap(name: str) -> Json:
    """What Envoy is told at its start: where its files are, and an admin on loopback with a port of the kernel's."""
    source = {"resource_api_version": "V3"}
    return {
        "node": {"id": name, "cluster": "tidegate"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "stats_flush_interval": "0.25s",  # histograms are merged at this pace
        "dynamic_resources": {
            "lds_config": {**source, "path_config_source": {"path": f"{names.XDS}/lds.json"}},
            "cds_config": {**source, "path_config_source": {"path": f"{names.XDS}/cds.json"}},
        },
    }


async def _fitted(docker: aiodocker.Docker, options: Options) -> Options:
    """The options with what the engine says where they leave it open. Raises EngineError."""
    if options.threads and options.network:
        return options
    try:
        facts = await docker.system.info()
    except ERRORS as error:
        raise EngineError(f"the engine does not answer: {error}") from error
    threads = options.threads or max(1, min(4, int(facts.get("NCPU", 1))))
    return replace(options, threads=threads, network=options.network or (BRIDGE if is_walled(facts) else HOST))


_ENTRY = f"""umask 077
mkdir -p {names.XDS} {names.TLS}
for kind in lds cds; do
  [ -s {names.XDS}/$kind.json ] || printf '{{"resources":[],"version_info":"0"}}\\n' > {names.XDS}/$kind.json
done
cat /proc/sys/kernel/random/uuid > {RUN}/id
exec /usr/local/bin/envoy "$@"
"""
