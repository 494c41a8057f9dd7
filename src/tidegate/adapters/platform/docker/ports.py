"""A port that is taken: which one, and who holds it."""

import re
from contextlib import suppress
from pathlib import Path

from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.errors import ConflictError, TidegateError

_TAKEN = (
    re.compile(r"Bind for (?P<address>[^ ]*):(?P<port>\d+) failed: port is already allocated"),
    re.compile(r"listen (?:tcp|udp)[46]? (?P<address>[^ ]*):(?P<port>\d+): bind: address already in use"),
    re.compile(r"(?P<address>[\d.]+):(?P<port>\d+)(?:/\w+)?: bind: address already in use"),
)
LISTENING = "0A"


async def explain_port(engine: Engine, name: str, message: str) -> ConflictError | None:
    """The engine's refusal as an error that names port and holder; None when it is about something else."""
    match = next((found for pattern in _TAKEN if (found := pattern.search(message))), None)
    if match is None:
        return None
    port = int(match["port"])
    holder = await _container(engine, port) or (process_on(port) if engine.local else "")
    return ConflictError(
        f"{name}: port {port} of the host is taken by {holder or 'a process outside Docker'}",
        hint=f"stop the holder (ss -ltnp sport = :{port} shows it), or publish another port",
    )


async def _container(engine: Engine, port: int) -> str:
    with suppress(TidegateError):
        async with engine.call("list containers") as docker:
            for container in await docker.containers.list():
                facts = container._container
                if any(found.get("PublicPort") == port for found in facts.get("Ports") or ()):
                    return f"container {str(facts['Names'][0]).lstrip('/')}"
    return ""


def process_on(port: int, proc: Path = Path("/proc")) -> str:
    """The process of this machine that listens on a TCP port, as far as this user may see; empty when unknown."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listeners(proc / "net" / table, port)}
    if not inodes:
        return ""
    for folder in proc.iterdir():
        if folder.name.isdigit() and _holds(folder, inodes):
            with suppress(OSError):
                return f"process {folder.name} ({(folder / 'comm').read_text().strip()})"
    return ""


def _listeners(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _holds(folder: Path, inodes: set[str]) -> bool:
    with suppress(OSError):
        for handle in (folder / "fd").iterdir():
            with suppress(OSError):
                link = str(handle.readlink())
                if link.startswith("socket:[") and link[8:-1] in inodes:
                    return True
    return False
