"""Images of programs that nobody here wrote, straight out of Debian's packages: made once, cached as files."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.engine import Engine
from tests.images import CACHE, await_result, has_image, load_archive
from tidegate.adapters.registry import debian
from tidegate.adapters.registry.layer import ImageConfig, Layer
from tidegate.adapters.registry.local import make_archive

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
KEPT = ("usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib64/")


def load_packaged(engine: Engine, program: str, packages: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """An image of exactly these packages, under each of these tags; its entrypoint is the program."""
    name = Path(program).name
    archive = CACHE / "images" / f"packaged-{name}.tar"
    if not archive.exists():
        await_result(_make(program, packages, archive))
    if not has_image(engine, f"packaged/{name}:debian"):
        load_archive(engine, archive)
    for tag in tags:
        engine.docker("tag", f"packaged/{name}:debian", tag)


async def _make(program: str, packages: tuple[str, ...], archive: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = await debian.download(list(packages), Path(scratch))

        def fill(layer: Layer) -> None:
            layer.write("etc/passwd", PASSWD)
            for file in files:
                debian.unpack(file, layer, lambda path: path.startswith(KEPT))

        config = ImageConfig(f"packaged/{Path(program).name}:debian", entrypoint=(program,))
        await asyncio.to_thread(make_archive, archive, config, fill)
