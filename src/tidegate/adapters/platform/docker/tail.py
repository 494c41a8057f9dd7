"""The log of an instance as it is written."""

import math
from collections.abc import AsyncIterator

from tidegate.adapters.platform.docker.client import Engine


async def follow_log(engine: Engine, container: str, lines: int) -> AsyncIterator[str]:
    """The last lines of stdout and stderr, then each new one until the container ends.

    Raises NotFoundError, EngineError. Without a deadline: silence is no fault of a log's.
    """
    rest = ""
    async with engine.call(f"logs of {container}", math.inf) as docker:
        async for part in docker.containers.container(container).log(stdout=True, stderr=True, follow=True, tail=lines):
            *whole, rest = (rest + part).split("\n")
            for line in whole:
                yield line.rstrip("\r")
    if rest:
        yield rest
