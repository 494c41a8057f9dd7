"""Images made without a builder: files into one layer, the layer into an archive that `docker load` takes.

The same input makes the same bytes (times are 0, owners are root), so the same image id on every host. The archive has
the layout of `docker save`, which every engine reads: manifest.json, the configuration by its digest, the layer.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO

from tidegate.model.release import Image

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x"}
MERGED = ("bin", "sbin", "lib", "lib64")
"""Top directories that are links into /usr, as every current distribution has them."""


def architecture() -> str:
    """This machine's architecture in the words of OCI."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class ImageConfig:
    """What the image says of itself."""

    reference: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    environment: tuple[str, ...] = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",)
    labels: dict[str, str] = field(default_factory=dict)


class Layer:
    """A tar file being written: each path once, parents before children, /bin and its like inside /usr."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by __exit__
        self._known: set[str] = set()
        for name in MERGED:
            self.directory(f"usr/{name}")
            self._add(self._entry(name, tarfile.SYMTYPE, 0o777, f"usr/{name}"))
        self.directory("tmp", 0o1777)

    def __enter__(self) -> "Layer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory, with its parents."""
        name = _merged(path)
        if name and name not in self._known:
            self.directory(str(PurePosixPath(name).parent))
            self._add(self._entry(name, tarfile.DIRTYPE, mode))

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """A file with this content."""
        entry = self._entry(_merged(path), tarfile.REGTYPE, mode)
        entry.size = len(content)
        self._add(entry, io.BytesIO(content))

    def copy(self, path: str, source: Path, mode: int = 0o755) -> None:
        """A file of this machine; links are followed."""
        entry = self._entry(_merged(path), tarfile.REGTYPE, mode)
        with source.open("rb") as content:
            entry.size = source.stat().st_size
            self._add(entry, content)

    def link(self, path: str, target: str) -> None:
        """A symbolic link, unless the path is taken."""
        self._add(self._entry(_merged(path), tarfile.SYMTYPE, 0o777, target))

    def merge(self, source: tarfile.TarFile, wanted: Callable[[str], bool]) -> None:
        """The members of another tar whose path is wanted; devices are left out."""
        for member in source:
            name = _merged(member.name)
            if not name or not wanted(name):
                continue
            if member.isdir():
                self.directory(name, member.mode)
            elif member.issym():
                self.link(name, member.linkname)
            elif member.islnk():
                self._add(self._entry(name, tarfile.LNKTYPE, member.mode, _merged(member.linkname)))
            elif member.isfile():
                entry = self._entry(name, tarfile.REGTYPE, member.mode)
                entry.size = member.size
                self._add(entry, source.extractfile(member))

    def _entry(self, name: str, kind: bytes, mode: int, target: str = "") -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.linkname = kind, mode, target
        return entry

    def _add(self, entry: tarfile.TarInfo, content: IO[bytes] | None = None) -> None:
        if entry.name in self._known:
            return
        self.directory(str(PurePosixPath(entry.name).parent))
        self._known.add(entry.name)
        self._tar.addfile(entry, content)


def _merged(path: str) -> str:
    """A clean relative path, /bin and its like moved into /usr; empty for the root."""
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", "."}]
    if len(parts) > 1 and parts[0] in MERGED:
        parts.insert(0, "usr")
    return "/".join(parts)


def write_archive(layer: Path, config: ImageConfig, out: Path) -> Image:
    """Make the archive `out` of a layer (a tar file) and a configuration; returns the image that it will be."""
    with layer.open("rb") as content:
        diff_id = hashlib.file_digest(content, "sha256").hexdigest()
    body = {
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": list(config.environment),
            "Cmd": list(config.command),
            "Entrypoint": list(config.entrypoint),
            "Labels": config.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "tidegate"}],
    }
    raw = json.dumps(body, sort_keys=True).encode()
    digest = hashlib.sha256(raw).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [config.reference], "Layers": [f"{diff_id}/layer.tar"]}]
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content_bytes in (("manifest.json", json.dumps(manifest).encode()), (f"{digest}.json", raw)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content_bytes)
            tar.addfile(entry, io.BytesIO(content_bytes))
        entry = tarfile.TarInfo(f"{diff_id}/layer.tar")
        entry.size = layer.stat().st_size
        with layer.open("rb") as content:
            tar.addfile(entry, content)
    return Image(config.reference, config_digest=f"sha256:{digest}")
