"""Base images for builds, also where no registry can be reached.

Each has one local tag, whatever way it came there, so that a Dockerfile's FROM is the same everywhere. Pulled when it
can be, else made from the distribution's packages: small, with no shell but busybox's, no package manager, no docs.
"""

import asyncio
import tempfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import aiodocker

from tidegate.adapters.registry import debian
from tidegate.adapters.registry.bytecode import add_bytecode
from tidegate.adapters.registry.layer import ImageConfig, Layer
from tidegate.adapters.registry.local import LocalImage, cache_directory, find, load, make_archive, try_pull
from tidegate.model.errors import ImageError

FIRST_SIGN_S = 6.0
"""A registry that can be reached begins within a second or two."""
PULL_S = 300.0
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/info",
    "var",
    "etc/apt",
)
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"


class Base(Enum):
    """The bases there are: the value is the local tag."""

    PYTHON = "tidegate/base-python:bookworm"
    BUSYBOX = "tidegate/base-busybox:latest"

    @property
    def upstream(self) -> str:
        """What is pulled when a registry can be reached."""
        return {Base.PYTHON: "python:3.11-slim-bookworm", Base.BUSYBOX: "busybox:1.36-musl"}[self]


async def ensure_base_image(
    docker: aiodocker.Docker, base: Base, *, pull: bool = True, cache: Path | None = None
) -> LocalImage:
    """Make sure that the engine has the base under its local tag. Raises ImageError with both reasons."""
    present = await find(docker, base.value)
    if present is not None:
        return LocalImage(present, f"{base.value} is in the engine already")
    refused = await _pull(docker, base) if pull else "pulling was not asked for"
    if not refused:
        pulled = await find(docker, base.value)
        if pulled is not None:
            return LocalImage(pulled, f"{base.value} was pulled as {base.upstream}")
    try:
        archive = await base_archive(base, cache or cache_directory())
    except ImageError as error:
        message = f"no base image {base.value}: it cannot be pulled ({refused}) nor made here ({error.message})"
        raise ImageError(message, hint=error.hint) from error
    image = await load(docker, archive, base.value)
    return LocalImage(image, f"{base.value} was made from this machine's packages, because {refused}")


async def _pull(docker: aiodocker.Docker, base: Base) -> str:
    refused = await try_pull(docker, base.upstream, first_s=FIRST_SIGN_S, whole_s=PULL_S)
    if not refused:
        repository, _, tag = base.value.partition(":")
        await docker.images.tag(base.upstream, repository, tag=tag)
    return refused


async def base_archive(base: Base, cache: Path) -> Path:
    """The base as a file for `docker load`, made on first use. Raises ImageError."""
    out = cache / "images" / f"{base.name.lower()}.tar"
    if out.exists():
        return out
    busybox = await debian.static_busybox(cache)
    if base is Base.BUSYBOX:
        return await asyncio.to_thread(make_archive, out, _config(base, "/bin/sh"), _filler([], busybox))
    with tempfile.TemporaryDirectory(prefix="tidegate-packages-") as scratch:
        names = await debian.resolve("python3-minimal", "libpython3-stdlib", "ca-certificates")
        packages = await debian.download(names, Path(scratch))
        return await asyncio.to_thread(make_archive, out, _config(base, "python3"), _filler(packages, busybox))


def _config(base: Base, command: str) -> ImageConfig:
    labels = {"org.opencontainers.image.title": base.name.lower(), "dev.tidegate.base": base.name.lower()}
    return ImageConfig(base.value, command=(command,), labels=labels)


def _filler(packages: list[Path], busybox: Path) -> Callable[[Layer], None]:
    def fill(layer: Layer) -> None:
        layer.write("etc/passwd", PASSWD)
        layer.write("etc/group", GROUP)
        layer.write("etc/nsswitch.conf", b"hosts: files dns\n")
        for directory in ("etc", "root", "run", "var/tmp", "usr/local/bin"):
            layer.directory(directory)
        for package in packages:
            debian.unpack(package, layer, _wanted)
            if package.name.startswith("libpython"):
                add_bytecode(package, layer)
        if CA_BUNDLE.exists():
            # The host's own bundle: where the network inspects TLS, it alone names the authority that signs.
            layer.copy(str(CA_BUNDLE), CA_BUNDLE, 0o644)
            layer.link("usr/lib/ssl/cert.pem", str(CA_BUNDLE))  # where Debian's OpenSSL looks
        debian.add_busybox(layer, busybox)

    return fill


def _wanted(path: str) -> bool:
    return not any(path == left or path.startswith(f"{left}/") for left in LEFT_OUT)
