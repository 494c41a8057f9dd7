"""Files from the distribution's packages, without installing anything and without root.

The machine's own apt does the work, so its sources, keys, proxies and CA settings hold. apt resolves against an empty
list of installed packages; what it names is downloaded, and the packages' files are read straight out of them.
Maintainer scripts do not run.
"""

import asyncio
import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tidegate.adapters.registry.layer import Layer
from tidegate.adapters.registry.local import run
from tidegate.model.errors import ImageError

APT_S = 240.0
FRESH = ("-o", "Dir::State::status=/dev/null", "-o", "Debug::NoLocking=1", "-o", "APT::Install-Recommends=0")
SCRIPTS_ONLY = {"dpkg", "tar", "debconf", "openssl", "perl-base", "readline-common", "install-info", "debianutils"}
"""Packages that others depend on for their maintainer scripts, which do not run here."""


async def resolve(*packages: str) -> list[str]:
    """The packages and all that they need at run time, by name. Raises ImageError."""
    if shutil.which("apt-get") is None:
        raise ImageError(
            "this machine has no apt, so no image can be made from its packages",
            hint="give the engine a registry that it can reach, or docker load the image from a file",
        )
    try:
        listed = await run("apt-get", *FRESH, "--simulate", "install", *packages, deadline_s=APT_S)
    except ImageError as error:
        raise ImageError(error.message, hint="apt-get update, as root, renews the package lists") from error
    # Inst python3-minimal (3.11.2-1+b1 Debian:12.12/stable [amd64])
    return sorted({line.split()[1] for line in listed.splitlines() if line.startswith("Inst ")} - SCRIPTS_ONLY)


async def download(packages: list[str], into: Path) -> list[Path]:
    """Download these packages, and only these, into an existing directory. Raises ImageError."""
    try:
        # _apt, the user that apt downloads as, may not be allowed into a private directory
        await run(
            "apt-get",
            *FRESH,
            "-o",
            "APT::Sandbox::User=",
            "--quiet=2",
            "download",
            *packages,
            cwd=into,
            deadline_s=APT_S,
        )
    except ImageError as error:
        raise ImageError(error.message, hint="apt-get update, as root, renews the package lists") from error
    return await asyncio.to_thread(lambda: sorted(into.glob("*.deb")))


@contextlib.contextmanager
def files_of(package: Path) -> Iterator[tarfile.TarFile]:
    """The package's files as a tar to be read once, in order. Raises ImageError."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            yield files
        process.stdout.read()
    if process.returncode:
        raise ImageError(f"dpkg-deb cannot read {package}: exit code {process.returncode}", hint="remove it, try again")


def unpack(package: Path, layer: Layer, wanted: Callable[[str], bool]) -> None:
    """Put a package's wanted files into the layer. Raises ImageError. Blocks."""
    with files_of(package) as files:
        layer.merge(files, wanted)


async def static_busybox(cache: Path) -> Path:
    """A busybox that needs no library: the machine's own, else out of the package busybox-static."""
    installed = shutil.which("busybox")
    if installed is not None and is_static(Path(installed)):
        return Path(installed)
    cached = cache / "busybox"
    if not await asyncio.to_thread(cached.exists):
        with tempfile.TemporaryDirectory(prefix="tidegate-packages-") as scratch:
            (package,) = await download(["busybox-static"], Path(scratch))
            await asyncio.to_thread(_take, package, cached)
    return cached


def _take(package: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_suffix(".half")
    with files_of(package) as files:
        for member in files:
            content = files.extractfile(member) if member.name.endswith("bin/busybox") else None
            if content is not None:
                half.write_bytes(content.read())
    half.chmod(0o755)
    half.replace(target)


def is_static(program: Path) -> bool:
    """Whether an ELF file (64 bits, little-endian) runs without a loader: it has no PT_INTERP header."""
    head = program.read_bytes()[:4096]
    if head[:6] != b"\x7fELF\x02\x01":
        return False
    offset, size = int.from_bytes(head[32:40], "little"), int.from_bytes(head[54:56], "little")
    count = int.from_bytes(head[56:58], "little")
    kinds = [int.from_bytes(head[offset + n * size : offset + n * size + 4], "little") for n in range(count)]
    return 3 not in kinds


def add_busybox(layer: Layer, busybox: Path) -> None:
    """busybox and a link for each of its applets, where no program of that name is yet. Blocks."""
    layer.copy("usr/bin/busybox", busybox)
    listed = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True, timeout=10)
    for applet in listed.stdout.split():
        layer.link(f"usr/bin/{applet}", "busybox")
