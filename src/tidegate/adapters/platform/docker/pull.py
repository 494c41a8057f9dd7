"""Pulling images: started, not awaited; how far they are is observed. The disk is looked at first.

The engine's API tells neither an image's size before it is pulled nor the free space of its disk. So the need is
estimated from the images of the same repository that are here, and free space is known where the engine is local.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.credentials import config_folder, credentials, full_reference
from tidegate.adapters.platform.docker.images import find_image, pull_reference
from tidegate.adapters.platform.docker.options import DockerOptions
from tidegate.model.errors import ImageError, TidegateError, UnreachableError
from tidegate.model.observation import ImageState, ObservedImage
from tidegate.model.release import Image

FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 300.0
UNKNOWN_SIZE = 256 * 1024 * 1024
"""Estimate for an image of a repository that this host has never seen, in bytes."""

PULL_S = 3600.0


@dataclass
class Pull:
    """One pull under way, or the last one that failed."""

    task: asyncio.Task[None] | None = None
    detail: str = ""
    failures: int = 0
    failed_at: float = 0.0
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)


class Puller:
    """The pulls of one engine. `changed` is called when a pull ended."""

    def __init__(self, engine: Engine, options: DockerOptions, changed: Callable[[], None]) -> None:
        self._engine = engine
        self._options = options
        self._changed = changed
        self._pulls: dict[Image, Pull] = {}

    def start(self, image: Image) -> None:
        """Begin to pull, unless a pull of this image is under way or failed a moment ago."""
        pull = self._pulls.setdefault(image, Pull())
        if pull.task is None and not self._waiting(pull):
            pull.detail, pull.layers = "", {}
            pull.task = asyncio.create_task(self._run(image, pull), name=f"pull {image.reference}")

    def observed(self, image: Image) -> ObservedImage | None:
        """State of an image that is not on the host. None: nobody pulls it, and a new attempt may be made."""
        pull = self._pulls.get(image)
        if pull is None:
            return None
        if pull.task is not None:
            detail = pull.detail or "asking the registry"
            return ObservedImage(image.reference, ImageState.PULLING, image.config_digest, detail)
        if pull.failures and self._waiting(pull):
            return ObservedImage(image.reference, ImageState.FAILED, image.config_digest, pull.detail)
        return None

    async def close(self) -> None:
        """Give up on pulls under way; the engine keeps the layers that it has."""
        tasks = [pull.task for pull in self._pulls.values() if pull.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _waiting(self, pull: Pull) -> bool:
        pause = min(FIRST_RETRY_S * 2 ** (pull.failures - 1), LONGEST_RETRY_S) if pull.failures else 0.0
        return time.monotonic() - pull.failed_at < pause

    async def _run(self, image: Image, pull: Pull) -> None:
        try:
            await self._check_disk(image)
            if not await self._supplied(image, pull):
                await self._pull(image, pull)
            await self._verify(image)
            del self._pulls[image]
        except UnreachableError:
            # The host is away: that is nothing about the image, and there is a new attempt when it is back.
            del self._pulls[image]
        except TidegateError as error:
            pull.failures, pull.failed_at = pull.failures + 1, time.monotonic()
            pull.detail = f"{error.message}; {error.hint}" if error.hint else error.message
        finally:
            pull.task = None
            self._changed()

    async def _supplied(self, image: Image, pull: Pull) -> bool:
        """From the engine that has it, when the image is in no registry."""
        if self._options.supply is None or image.manifest_digest:
            return False
        pull.detail = "waiting for the engine that has it"
        return await self._options.supply.give(image, self._engine)

    async def _pull(self, image: Image, pull: Pull) -> None:
        reference = full_reference(pull_reference(image))
        auth = await credentials(reference, config_folder(self._options.docker_config))
        try:
            async with self._engine.call(f"pull {reference}", PULL_S) as docker:
                stream = docker.images.pull(reference, auth=auth, stream=True)
                while True:
                    try:
                        async with asyncio.timeout(self._options.pull_silence_s):
                            line = await anext(stream)
                    except StopAsyncIteration:
                        return
                    except TimeoutError:
                        raise ImageError(
                            f"pull {reference}: the registry was silent for {self._options.pull_silence_s:g} s"
                        ) from None
                    _note_progress(pull, line)
        except (UnreachableError, ImageError):
            raise
        except TidegateError as error:
            raise ImageError(error.message, hint=_hint(error.message)) from None

    async def _verify(self, image: Image) -> None:
        async with self._engine.call(f"inspect image {image.reference}") as docker:
            if await find_image(docker, image) is None:
                raise ImageError(
                    f"{image.reference} in its registry is no longer what the release was made of"
                    f" ({image.manifest_digest or image.config_digest})",
                    hint="make a new release, or push the image under a tag of its own",
                )

    async def _check_disk(self, image: Image) -> None:
        if not self._engine.local:
            return
        async with self._engine.call("disk space") as docker:
            root = str((await docker.system.info()).get("DockerRootDir", ""))
            images = await docker.images.list()
        free = free_bytes(Path(root))
        need = estimate(image.reference, images) + self._options.disk_reserve
        if free is not None and free < need:
            raise ImageError(
                f"pull {image.reference}: needs about {megabytes(need)} on {root}, {megabytes(free)} are free",
                hint="docker image prune -a frees what no container uses",
            )


def estimate(reference: str, images: Sequence[Mapping[str, Any]]) -> int:
    """Bytes that a pull may take: the largest image here of the same repository."""
    repository = _repository(reference)
    sizes = [
        int(image.get("Size", 0))
        for image in images
        if any(_repository(str(tag)) == repository for tag in image.get("RepoTags") or ())
    ]
    return max(sizes, default=UNKNOWN_SIZE)


def free_bytes(root: Path) -> int | None:
    """Free space for an ordinary user on the disk of a folder; None when the folder is not of this machine."""
    with suppress(OSError):
        if root.is_dir():
            facts = os.statvfs(root)
            return facts.f_bavail * facts.f_frsize
    return None


def megabytes(size: int) -> str:
    """A size for a person."""
    return f"{size / 1e6:,.0f} MB"


def _repository(reference: str) -> str:
    name = full_reference(reference.partition("@")[0])
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}"


def _note_progress(pull: Pull, line: Mapping[str, Any]) -> None:
    progress = line.get("progressDetail") or {}
    if "id" in line and progress.get("total") and line.get("status") == "Downloading":
        pull.layers[str(line["id"])] = (int(progress.get("current", 0)), int(progress["total"]))
        done, total = (sum(pair[i] for pair in pull.layers.values()) for i in (0, 1))
        pull.detail = f"{megabytes(done)} of {megabytes(total)} known so far"


def _hint(message: str) -> str:
    lower = message.lower()
    if "no space left" in lower:
        return "docker image prune -a frees what no container uses"
    if "denied" in lower or "unauthorized" in lower or "authentication" in lower or "basic auth" in lower:
        return "docker login to that registry as the user who runs Tidegate"
    if "not found" in lower or "manifest unknown" in lower:
        return "was it pushed under this name? docker push it, or load it on this host"
    return "can this host reach the registry? an image may also be loaded from an archive (docker load)"
