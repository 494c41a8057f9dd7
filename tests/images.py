"""Images for engine tests, made once, cached as files and side-loaded into each engine that asks."""

from __future__ import annotations

import io
import shutil
import tarfile
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from tests.netns import sh

if TYPE_CHECKING:
    from tests.engine import Engine

BUSYBOX = "tidegate/base-busybox:latest"


def side_load(engine: Engine, image: str) -> None:
    """Put a cached image into the engine, unless it is there."""
    reference = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    known = {tag for found in engine.api("GET", "/images/json") for tag in found["RepoTags"] or []}
    if reference in known:
        return
    maker = MAKERS.get(reference)
    if maker is None:
        raise KeyError(f"no cached image {reference}; there are {', '.join(MAKERS)}")
    maker(engine)


def busybox(engine: Engine) -> None:
    """Scratch + busybox-static with a link for each applet."""
    source = shutil.which("busybox") or "/bin/busybox"
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for directory in ("bin", "etc", "tmp", "var", "www"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(Path(source).resolve(), "bin/busybox")
        for applet in sh(source, "--list").stdout.split():
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
    name, _, tag = BUSYBOX.partition(":")
    changes = urllib.parse.urlencode([("changes", "ENV PATH=/bin"), ("changes", 'CMD ["sh"]')])
    engine.api("POST", f"/images/create?fromSrc=-&repo={name}&tag={tag}&{changes}", archive.getvalue())


MAKERS = {BUSYBOX: busybox}
