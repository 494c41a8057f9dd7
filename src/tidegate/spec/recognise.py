"""What already lies in a directory: name, git branch, Dockerfile, compose file. Read, never run."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.model.errors import UsageError
from tidegate.model.workload import PublishedPort
from tidegate.spec.compose_file import read_text, whole_service
from tidegate.spec.context import Context, Where
from tidegate.spec.document import Node, parse_yaml
from tidegate.spec.format import NAME
from tidegate.spec.ports import PORT_ENTRY
from tidegate.spec.refused import SERVICE_REFUSED
from tidegate.spec.shapes import INVALID

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_ERRORS = {key for key, refused in SERVICE_REFUSED.items() if refused.error} - {"build"}
_EXPOSE = re.compile(r"^\s*EXPOSE\s+(.+)$", re.IGNORECASE | re.MULTILINE)
_TCP_PORT = re.compile(r"(?<!\S)([0-9]{1,5})(?:/tcp)?(?!\S)")
_HEALTHCHECK = re.compile(r"^\s*HEALTHCHECK\s+(?!NONE)(.+(?:\\\n.+)*)", re.IGNORECASE | re.MULTILINE)
_ADDRESS = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::([0-9]{1,5}))?(/[^\s\"'\]|)]*)?")


@dataclass(frozen=True)
class Suggestion:
    """What was recognised; a person may change any of it before it is written.

    `port` is the container's, `listen` the gateway's (0: no route). `path` is the readiness probe's (empty: by TCP).
    `others` are the compose file's other services.
    """

    agent: str
    branch: str = "main"
    dockerfile: str = ""
    image: str = ""
    compose: str = ""
    service: str = ""
    port: int = 0
    listen: int = 0
    path: str = ""
    has_healthcheck: bool = False
    published: tuple[PublishedPort, ...] = ()
    has_ports: bool = False
    has_limits: bool = False
    taken_out: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def suggest(directory: Path) -> Suggestion:
    """Look at a directory: its name, git branch, Dockerfile and compose file. Raises UsageError when it is none."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is no directory", hint="tidegate init DIRECTORY")
    found = Suggestion(agent=_slug(directory.absolute().name), branch=_branch(directory.absolute()))
    if (directory / "Dockerfile").is_file():
        found = _from_dockerfile(directory / "Dockerfile", replace(found, dockerfile="Dockerfile"))
    for name in COMPOSE_FILES:
        if (directory / name).is_file():
            return _from_compose(directory / name, found)
    return found


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
    return slug if re.fullmatch(NAME, slug) else "agent"


def _branch(directory: Path) -> str:
    """The branch that is checked out, read from .git without running git; main when there is none."""
    for parent in (directory, *directory.parents):
        git = parent / ".git"
        if git.exists():
            return _head(git) or "main"
    return "main"


def _head(git: Path) -> str:
    try:
        if git.is_file():  # a worktree or a submodule: "gitdir: path"
            git = (git.parent / git.read_text(encoding="utf-8").partition(":")[2].strip()).resolve()
        kind, _, name = (git / "HEAD").read_text(encoding="utf-8").strip().partition("refs/heads/")
    except (OSError, ValueError):
        return ""
    return name if kind.startswith("ref:") and not re.search(r"[\s~^:?*\[\\]", name) else ""


def _from_dockerfile(path: Path, found: Suggestion) -> Suggestion:
    text = path.read_text(encoding="utf-8", errors="replace")
    stage = re.split(r"^\s*FROM\s", text, flags=re.IGNORECASE | re.MULTILINE)[-1]
    exposed = [
        int(port) for line in _EXPOSE.findall(stage) for port in re.findall(r"(?<!\S)([0-9]{1,5})(?:/tcp)?(?!\S)", line)
    ]
    port = next((port for port in exposed if 0 < port < 65536), 0)
    check = _HEALTHCHECK.search(stage)
    asked_port, path_asked = _address(check[1]) if check else (0, "")
    port = port or asked_port
    return replace(
        found,
        port=port,
        listen=port,
        path=path_asked if asked_port in (0, port) else "",
        has_healthcheck=check is not None,
    )


def _address(command: str) -> tuple[int, str]:
    match = _ADDRESS.search(command)
    if not match:
        return 0, ""
    port = int(match[1] or 80)
    return (port, match[2] or "/") if 0 < port < 65536 else (0, "")


def _from_compose(path: Path, found: Suggestion) -> Suggestion:
    context = Context({})
    where = Where(str(path), 1, "")
    root = parse_yaml(read_text(path, where, context), str(path), context)
    services = root.value.get("services") if root and isinstance(root.value, dict) else None
    if context.errors or services is None or not isinstance(services.value, dict):
        return found
    name = _chosen(services.value)
    whole = whole_service(root, replace(root, text=name), {}, context) if root and name else None
    service = whole.value if whole is not None else None
    if context.errors or not isinstance(service, dict):
        return found
    entries = service["ports"].value if "ports" in service else ()
    ports = tuple(
        port
        for entry in (entries if isinstance(entries, tuple) else ())
        if isinstance(read := PORT_ENTRY.read(entry, Context({})), tuple) and read is not INVALID
        for port in read
    )
    first = next((port for port in ports if port.protocol == "tcp"), None)
    check = service.get("healthcheck")
    asked = _address(" ".join(_texts(check))) if check else (0, "")
    return replace(
        found,
        agent=_slug(name) if _slug(name) not in ("app", "web", "server", "api", "agent") else found.agent,
        compose=path.name,
        service=name,
        others=tuple(other for other in services.value if other != name),
        dockerfile=_dockerfile(service.get("build")) if "build" in service else "",
        image=service["image"].text if "image" in service else "",
        port=first.container_port if first else found.port if "build" in service else 0,
        listen=first.host_port if first else 0,
        path=asked[1] if first and asked[0] == first.container_port else "",
        has_healthcheck=check is not None or found.has_healthcheck,
        published=tuple(port for port in ports if port.protocol != "tcp"),
        has_ports="ports" in service,
        has_limits="limits" in str(service.get("deploy", "")) or "mem_limit" in service,
        taken_out=tuple(
            key for key in service if key in SERVICE_REFUSED and SERVICE_REFUSED[key].error and key != "build"
        ),
    )


def _chosen(services: dict[str, Node]) -> str:
    """The service that is built here, else one that others reach, else the first; one of a profile last."""

    def rank(name: str) -> tuple[bool, bool, bool]:
        node = services[name].value
        keys = node.keys() if isinstance(node, dict) else ()
        return "profiles" in keys, "build" not in keys, "ports" not in keys

    return min(services, key=rank, default="")


def _texts(node: Node) -> list[str]:
    match node.value:
        case tuple(items):
            return [text for item in items for text in _texts(item)]
        case dict(entries):
            return [text for item in entries.values() for text in _texts(item)]
        case _:
            return [node.text]


def _dockerfile(build: Node | None) -> str:
    if build is None:
        return ""
    if isinstance(build.value, dict):
        context = build.value["context"].text if "context" in build.value else "."
        name = build.value["dockerfile"].text if "dockerfile" in build.value else "Dockerfile"
    else:
        context, name = build.text or ".", "Dockerfile"
    return name if context in (".", "./") else f"{context.removeprefix('./').rstrip('/')}/{name}"
