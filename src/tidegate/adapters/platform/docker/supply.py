"""Images from another engine: saved there and loaded here in one stream, with nothing kept in between.

Hosts without a registry get what was never pushed from the engine that has it. So that a wave does not choke the
supplier's disk and network, few hosts are served at once; a host that has the same content is not served at all.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tidegate.adapters.platform.docker.client import Engine
from tidegate.adapters.platform.docker.images import find_image
from tidegate.model.errors import ImageError, TidegateError, UnreachableError
from tidegate.model.release import Image

AT_ONCE = 2
LOAD_S = 1800.0
CHUNK = 1 << 18
SILENCE_S = 20.0
UNPACK_S = 300.0
"""How long the host may take to unpack what it has been given, in seconds."""


class Supply:
    """The engine that images come from, shared by all hosts of a fleet."""

    def __init__(self, source: Engine, at_once: int = AT_ONCE) -> None:
        self._source = source
        self._gate = asyncio.Semaphore(at_once)

    async def give(self, image: Image, to: Engine) -> bool:
        """Bring an image to a host; False when the source has no such image.

        Raises ImageError, or UnreachableError when it is the host that is away.
        """
        if not await self._has(image):
            return False
        async with self._gate:
            try:
                await self._copy(image, to)
            except _HostError as error:
                raise error.reason from None
            except TidegateError as error:
                raise ImageError(
                    f"{image.reference} cannot be had from the engine that has it: {error.message}"
                ) from None
        return True

    async def _has(self, image: Image) -> bool:
        try:
            async with self._source.call(f"look for {image.reference}") as docker:
                return await find_image(docker, image) is not None
        except TidegateError:
            return False

    async def _copy(self, image: Image, to: Engine) -> None:
        what = f"{image.reference} from another engine"
        async with (
            self._source.call(f"save {image.reference}", LOAD_S) as docker,
            docker.images.export_image(image.reference) as archive,
        ):
            try:
                async with to.call(f"load {what}", LOAD_S) as host, asyncio.timeout(SILENCE_S) as limit:
                    await host.images.import_image(_chunks(archive, limit))
            except TimeoutError:
                raise _HostError(UnreachableError(f"load {what}: the host takes nothing any more")) from None
            except TidegateError as error:
                raise _HostError(error) from None


class _HostError(Exception):
    """The host's trouble, told apart from the source's."""

    def __init__(self, reason: TidegateError) -> None:
        super().__init__(reason.message)
        self.reason = reason


async def _chunks(archive: Any, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    """The stream; whoever takes no chunk for SILENCE_S is given up, so that a host that is cut off holds up nobody."""
    loop = asyncio.get_running_loop()
    async for chunk in archive.iter_chunked(CHUNK):
        limit.reschedule(loop.time() + SILENCE_S)
        yield chunk
    limit.reschedule(loop.time() + UNPACK_S)
