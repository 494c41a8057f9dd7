"""What the makers of local images share: the cache, the engine's image list, pull and load with deadlines."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker

from tidegate.adapters.registry.layer import ImageConfig, Layer, write_archive
from tidegate.model.errors import ImageError
from tidegate.model.release import Image

LOAD_S = 120.0
CHUNK = 1 << 20


@dataclass(frozen=True)
class LocalImage:
    """An image that is in the engine now, and one sentence on how it came there."""

    image: Image
    because: str


def cache_directory() -> Path:
    """Where downloads and made images are kept: $XDG_CACHE_HOME/tidegate, ~/.cache/tidegate by default."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tidegate"


async def find(docker: aiodocker.Docker, reference: str) -> Image | None:
    """The image when the engine has it."""
    try:
        facts = await docker.images.inspect(reference)
    except aiodocker.DockerError as error:
        if error.status == 404:
            return None
        raise ImageError(f"cannot look for image {reference}: {error.message}") from error
    return Image(reference, config_digest=str(facts["Id"]))


def make_archive(out: Path, config: ImageConfig, fill: Callable[[Layer], None]) -> Path:
    """Write the archive of an image whose layer `fill` fills; `out` appears whole or not at all. Blocks."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".making-") as scratch:
        layer_file, made = Path(scratch) / "layer.tar", Path(scratch) / "image.tar"
        with Layer(layer_file) as layer:
            fill(layer)
        write_archive(layer_file, config, made)
        made.replace(out)
    return out


async def load(docker: aiodocker.Docker, archive: Path, reference: str) -> Image:
    """Load an archive and return its image. Raises ImageError."""
    try:
        async with asyncio.timeout(LOAD_S):
            await docker.images.import_image(_chunks(archive))
    except TimeoutError as error:
        raise ImageError(f"loading image {reference} took longer than {LOAD_S:.0f} s") from error
    except aiodocker.DockerError as error:
        raise ImageError(f"the engine refused image {reference} from {archive}: {error.message}") from error
    image = await find(docker, reference)
    if image is None:
        raise ImageError(
            f"{archive} was loaded, yet the engine has no image {reference}", hint="remove the file, retry"
        )
    return image


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            yield chunk


async def try_pull(docker: aiodocker.Docker, reference: str, *, first_s: float, whole_s: float) -> str:
    """Pull an image; empty when it is there, else why not.

    `first_s` bounds the wait for the first sign of a download, so that a place without a hub is noticed quickly;
    `whole_s` bounds it all.
    """
    try:
        async with asyncio.timeout(whole_s):
            async with asyncio.timeout(first_s) as first:
                async for progress in docker.images.pull(reference, stream=True):
                    if _downloading(progress):
                        first.reschedule(None)
    except TimeoutError:
        return f"no download of {reference} within its deadline ({first_s:.0f} s to begin, {whole_s:.0f} s in all)"
    except aiodocker.DockerError as error:
        return f"{reference}: {error.message}"
    return ""


def _downloading(progress: dict[str, Any]) -> bool:
    return "id" in progress or "Digest" in str(progress.get("status", ""))


async def run(*argv: str, deadline_s: float, cwd: Path | None = None) -> str:
    """Run a command to its end and return its stdout. Raises ImageError with the last lines of its stderr."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise ImageError(f"{argv[0]} is not installed") from error
    try:
        async with asyncio.timeout(deadline_s):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise ImageError(f"{argv[0]} took longer than {deadline_s:.0f} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        tail = " / ".join(err.decode(errors="replace").strip().splitlines()[-3:])
        raise ImageError(f"{' '.join(argv[:2])} ended with exit code {process.returncode}: {tail}")
    return out.decode(errors="replace")
