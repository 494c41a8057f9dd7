"""The last lines that an instance wrote: kept with the observation of one that exited, loops or is not well."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tidegate.adapters.platform.docker.client import Engine
from tidegate.model.errors import TidegateError
from tidegate.model.observation import InstanceState, ObservedInstance

LONGEST_LINE = 1000
"""Characters kept of a line: a reason is read by a person."""

FRESH_S = 1.0
"""The log of an instance that runs and is not well is read at most this often."""

DEADLINE_S = 3.0


@dataclass(frozen=True)
class _Read:
    about: tuple[object, ...]
    at: float
    lines: tuple[str, ...]


class LogReader:
    """Reads logs of one engine, and remembers those of incarnations that are over."""

    def __init__(self, engine: Engine, lines: int) -> None:
        self._engine = engine
        self._lines = lines
        self._kept: dict[str, _Read] = {}

    async def attach(
        self, instances: Iterable[ObservedInstance], read: Mapping[str, int]
    ) -> tuple[ObservedInstance, ...]:
        """The instances, each with its last lines where those tell something. A log that cannot be read is empty.

        Of the instances named in `read`, that many lines are read though nothing is wrong with them.
        """
        return tuple(await asyncio.gather(*(self._with_log(i, read.get(i.name, 0)) for i in instances)))

    async def _with_log(self, instance: ObservedInstance, wanted: int) -> ObservedInstance:
        if not (wanted and instance.state is InstanceState.RUNNING) and not _telling(instance):
            self._kept.pop(instance.id, None)
            return instance
        about = (instance.state, instance.started_at, instance.restart_count)
        kept = self._kept.get(instance.id)
        if kept is None or kept.about != about or not self._still_good(kept, instance):
            try:
                lines = await read_log(self._engine, instance.id, max(self._lines, wanted), DEADLINE_S)
            except TidegateError:  # gone meanwhile, or a log driver that cannot be read
                lines = ()
            kept = _Read(about, time.monotonic(), lines)
            self._kept[instance.id] = kept
        return replace(instance, last_log=kept.lines)

    @staticmethod
    def _still_good(kept: _Read, instance: ObservedInstance) -> bool:
        return instance.state is not InstanceState.RUNNING or time.monotonic() - kept.at < FRESH_S


def _telling(instance: ObservedInstance) -> bool:
    # The engine tells of a memory kill before it tells that the container exited.
    if instance.oom_killed or instance.state in (InstanceState.EXITED, InstanceState.RESTARTING, InstanceState.DEAD):
        return True
    unwell = instance.ready is False or instance.live is False
    return instance.state is InstanceState.RUNNING and (unwell or instance.restart_count > 0)


async def read_log(engine: Engine, container: str, lines: int, deadline_s: float) -> tuple[str, ...]:
    """The last lines of stdout and stderr together. Raises NotFoundError, EngineError."""
    async with engine.call(f"logs of {container}", deadline_s) as docker:
        parts = await docker.containers.container(container).log(stdout=True, stderr=True, tail=lines)
    text = "".join(parts)
    return tuple(line[:LONGEST_LINE] for line in text.splitlines()[-lines:])
