"""A listening port that somebody else holds: which one, and who."""

import asyncio
import re
from pathlib import Path

import aiodocker

from tidegate.model.errors import GatewayError


class PortTakenError(GatewayError):
    """The gateway cannot listen on a port."""

    def __init__(self, port: int, holder: str = "") -> None:
        who = f"by {holder}" if holder else "by another process"
        hint = "stop it, or choose another port (routes: listen)"
        super().__init__(f"port {port} of the gateway's host is taken {who}", hint=hint)
        self.port = port


def taken_port(reason: str) -> int | None:
    """The port in Envoy's or the engine's complaint about binding, or None when it complains about something else."""
    found = re.search(r"(?:cannot bind '|Bind for |listen tcp4? )[^' ]*?:(\d+)\b", reason)
    return int(found[1]) if found else None


async def explained(docker: aiodocker.Docker, error: PortTakenError) -> PortTakenError:
    """The same error with the holder's name, as far as the engine or this machine's process list knows it."""
    try:
        holder = await _container(docker, error.port) or await asyncio.to_thread(_process, error.port)
    except (aiodocker.DockerError, OSError, ValueError):
        holder = ""
    return PortTakenError(error.port, holder)


async def _container(docker: aiodocker.Docker, port: int) -> str:
    for found in await docker._query_json("containers/json", method="GET"):
        if any(mapping.get("PublicPort") == port for mapping in found.get("Ports", ())):
            return f"container {found['Names'][0].lstrip('/')}, which publishes it"
    return ""


def _process(port: int, proc: Path = Path("/proc")) -> str:
    """A process of this machine that listens on the port, in any network namespace that we may look into. Blocks."""
    # A table of sockets belongs to a namespace, and costs milliseconds to read: once is enough.
    known: dict[Path, set[str]] = {}
    for process in proc.iterdir():
        try:
            namespace = (process / "ns" / "net").readlink() if process.name.isdigit() else None
            if namespace is None:
                continue
            if namespace not in known:
                known[namespace] = {f"socket:[{inode}]" for inode in _listening(process, port)}
            if known[namespace] and any(
                str(link.readlink()) in known[namespace] for link in (process / "fd").iterdir()
            ):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue
    return ""


def _listening(process: Path, port: int) -> set[str]:
    inodes = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (process / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (line.split() for line in lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes
