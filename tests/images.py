"""Images for engine tests: made once by the product's own makers, cached as files, side-loaded into an engine.

engine.load("tidegate/base-busybox")   2 MB    scratch + busybox: sh, httpd, nc, wget ...
engine.load("tidegate/base-python")   50 MB    Debian's Python with its standard library, and busybox
engine.load("tidegate/gateway")      112 MB    Envoy, glibc, busybox
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tidegate.adapters.gateway.image import gateway_archive, gather
from tidegate.adapters.registry.base_image import Base, base_archive

if TYPE_CHECKING:
    from tests.engine import Engine

T = TypeVar("T")
CACHE = Path(__file__).parent.parent / ".cache"


def side_load(engine: Engine, image: str) -> str:
    """Put a cached image into the engine, unless it is there; its full reference."""
    name = image.partition(":")[0]
    if name == "tidegate/gateway":
        parts = await_result(gather(CACHE))
        if not has_image(engine, parts.reference):
            load_archive(engine, await_result(gateway_archive(parts, CACHE)))
        return parts.reference
    for base in Base:
        if name == base.value.partition(":")[0]:
            if not has_image(engine, base.value):
                load_archive(engine, await_result(base_archive(base, CACHE)))
            return base.value
    raise KeyError(f"no cached image {image}; there are tidegate/gateway, {', '.join(base.value for base in Base)}")


def has_image(engine: Engine, reference: str) -> bool:
    return any(reference in (found["RepoTags"] or []) for found in engine.api("GET", "/images/json"))


def load_archive(engine: Engine, archive: Path) -> None:
    with archive.open("rb") as content:
        engine.api("POST", "/images/load?quiet=1", content)


def await_result(work: Coroutine[None, None, T]) -> T:
    """The result, also when the caller is inside a running event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
