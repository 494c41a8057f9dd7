"""Look into an image: its configuration, and every layer's files, without running anything of it."""

import asyncio
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, Any

from aiodocker import Docker
from aiodocker.exceptions import DockerError

from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.errors import EngineError
from tidegate.model.image_facts import FileFacts, ImageFacts, LayerFacts, Package
from tidegate.model.work import ExamineImage

EXPORT_S = 600.0
HEAD = 4096
DATABASE_BYTES = 16 << 20
SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "busybox", "toybox"})
MANAGERS = frozenset({"apt", "apt-get", "dpkg", "apk", "yum", "dnf", "microdnf", "rpm", "pip", "pip3", "npm", "yarn"})
BIN = re.compile(r"^(usr/)?(local/)?s?bin$")
CREDENTIALS = re.compile(
    r"(^|/)(\.git-credentials|\.netrc|\.npmrc|\.pypirc|\.env|\.aws/credentials|\.docker/config\.json|\.kube/config)$"
)
PRIVATE_KEY = re.compile(rb"-----BEGIN (RSA |EC |OPENSSH |DSA |ENCRYPTED )?PRIVATE KEY-----")
TOKEN = re.compile(rb"(_authToken|password|secret|token|aws_secret_access_key)\s*[=:\"]", re.IGNORECASE)
WHITEOUT = ".wh."


async def examine(engine: Engine, job: ExamineImage) -> ImageFacts:
    """All of it. Raises EngineError."""
    async with engine.call(f"look into image {job.image}", EXPORT_S) as docker:
        facts: dict[str, Any] = await docker.images.inspect(job.image)
        history: Any = await docker.images.history(job.image)
        base = _time(str((await _inspected(docker, job.base)).get("Created", "")))
        former = int((await _inspected(docker, job.former)).get("Size", 0))
        with tempfile.TemporaryFile(prefix="tidegate-image-") as file:
            await _export(docker, job.image, file)
            files, packages, system = await asyncio.to_thread(_look, file)
    config = facts.get("Config") or {}
    check = (config.get("Healthcheck") or {}).get("Test") or []
    return ImageFacts(
        digest=str(facts["Id"]),
        size=int(facts["Size"]),
        created_at=_time(str(facts.get("Created", ""))),
        user=str(config.get("User", "")),
        healthcheck=bool(check) and check != ["NONE"],
        entrypoint=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        env=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        labels=config.get("Labels") or {},
        layers=tuple(LayerFacts(str(one["CreatedBy"]), int(one["Size"])) for one in reversed(history)),
        files=files,
        packages=packages,
        os=system,
        base_created_at=base,
        former_size=former,
    )


async def _inspected(docker: Docker, image: str) -> dict[str, Any]:
    """Another image; nothing where the engine does not have it, which is a fact too."""
    try:
        found: dict[str, Any] = await docker.images.inspect(image) if image else {}
    except DockerError as error:
        if error.status != 404:
            raise
        return {}
    return found


def _time(text: str) -> float:
    """The engine's nanoseconds are more than Python reads."""
    with suppress(ValueError):
        return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", text).replace("Z", "+00:00")).timestamp()
    return 0.0


async def _export(docker: Docker, image: str, file: IO[bytes]) -> None:
    async with docker.images.export_image(image) as stream:
        async for chunk in stream.iter_chunked(1 << 20):
            await asyncio.to_thread(file.write, chunk)


def _look(file: IO[bytes]) -> tuple[tuple[FileFacts, ...], tuple[Package, ...], str]:
    """Every layer of an exported image. Raises EngineError."""
    file.seek(0)
    seen = _Seen()
    try:
        with tarfile.open(fileobj=file, mode="r:") as image:
            manifest = image.extractfile("manifest.json")
            if manifest is None:
                raise EngineError("the engine exported an image without a manifest")
            for index, name in enumerate(json.load(manifest)[0]["Layers"]):
                layer = image.extractfile(name)
                if layer is not None:
                    with tarfile.open(fileobj=layer, mode="r:*") as packed:
                        seen.layer(index, packed)
    except (tarfile.TarError, KeyError, ValueError, OSError) as error:
        raise EngineError(f"the exported image cannot be read: {error}") from error
    return tuple(seen.files.values()), tuple(sorted(set(seen.packages()), key=str)), seen.system


class _Seen:
    """What was found so far, layer by layer."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, int], FileFacts] = {}
        self.system = ""
        self._databases: dict[str, bytes] = {}

    def layer(self, index: int, packed: tarfile.TarFile) -> None:
        """One layer on top of those before."""
        for member in packed:
            path = member.name.removeprefix("./").lstrip("/")
            name = PurePosixPath(path).name
            if name.startswith(WHITEOUT):
                self._hide(str(PurePosixPath(path).parent / name.removeprefix(WHITEOUT)))
                continue
            if why := _why(path, member, packed):
                self.files[path, index] = FileFacts(path, why, index)
            if _is_database(path) and member.isreg() and member.size <= DATABASE_BYTES:
                self._databases[path] = _content(packed, member)
            if path in ("etc/os-release", "usr/lib/os-release") and member.isreg():
                self.system = _pretty(_content(packed, member))

    def _hide(self, path: str) -> None:
        for key, one in self.files.items():
            if key[0] == path or key[0].startswith(f"{path}/"):
                self.files[key] = FileFacts(one.path, one.why, one.layer, hidden=True)
        for found in [name for name in self._databases if name == path or name.startswith(f"{path}/")]:
            del self._databases[found]

    def packages(self) -> Iterator[Package]:
        """From the databases that are visible in the end."""
        for path, content in self._databases.items():
            yield from _packages(path, content.decode(errors="replace"))


def _why(path: str, member: tarfile.TarInfo, packed: tarfile.TarFile) -> str:
    folder, _, name = path.rpartition("/")
    if member.isreg() and member.mode & 0o6000 and member.mode & 0o111:
        return "setuid"
    if BIN.match(folder) and name in SHELLS:
        return "shell"
    if BIN.match(folder) and name in MANAGERS:
        return "package_manager"
    if not member.isreg() or member.size > 1 << 20:
        return ""
    keyish = name.endswith((".pem", ".key", ".p8", ".env")) or name.startswith("id_")
    if keyish and PRIVATE_KEY.search(_content(packed, member, HEAD)):
        return "private_key"
    return "credentials" if CREDENTIALS.search(path) and TOKEN.search(_content(packed, member, HEAD)) else ""


def _content(packed: tarfile.TarFile, member: tarfile.TarInfo, most: int = DATABASE_BYTES) -> bytes:
    file = packed.extractfile(member)
    return file.read(most) if file is not None else b""


def _is_database(path: str) -> bool:
    dpkg = path == "var/lib/dpkg/status" or path.startswith("var/lib/dpkg/status.d/")
    return (
        dpkg
        or path == "lib/apk/db/installed"
        or path.endswith((".dist-info/METADATA", "/node_modules/.package-lock.json"))
    )


def _packages(path: str, text: str) -> Iterable[Package]:
    if path.endswith(".dist-info/METADATA"):
        return _fields("pypi", text.split("\n\n", 1)[0], "Name", "Version")
    if path == "lib/apk/db/installed":
        return _fields("apk", text, "P", "V")
    if path.endswith(".package-lock.json"):
        with suppress(ValueError, AttributeError):
            return [
                Package("npm", name.rpartition("node_modules/")[2], str(one.get("version", "")))
                for name, one in json.loads(text).get("packages", {}).items()
            ]
        return ()
    return _fields("deb", text, "Package", "Version")


def _fields(kind: str, text: str, name: str, version: str) -> Iterator[Package]:
    """Paragraphs of `Key: value` lines, as Debian, Alpine and Python's metadata have them."""
    for paragraph in text.split("\n\n"):
        found = dict(line.partition(":")[::2] for line in paragraph.split("\n") if ":" in line[:40])
        if name in found and version in found:
            yield Package(kind, found[name].strip(), found[version].strip())


def _pretty(content: bytes) -> str:
    match = re.search(rb'^PRETTY_NAME="?([^"\n]*)', content, re.MULTILINE)
    return match[1].decode(errors="replace") if match else ""
