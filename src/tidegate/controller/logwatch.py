"""Counts what instances write, while somebody wants to know: lines since the last look, and those that are errors.

A log is looked at through its last lines, so of one that writes more than LINES between two looks only the latest are
counted: the share of errors is then that of a sample.
"""

import asyncio
import re
from collections.abc import Sequence

from tidegate.model.errors import TidegateError
from tidegate.model.monitor import LogCount
from tidegate.ports import Platform

LINES = 500
DEADLINE_S = 2.0
ERROR = re.compile(
    r"\b(ERROR|ERR|CRITICAL|FATAL|PANIC|EMERG|ALERT)\b|\"?level\"?\s*[=:]\s*\"?(error|fatal|critical|panic)\b"
    r"|^Traceback \(most recent call last\)"
)
"""Level names as loggers write them, upper case as a word or as a level key; Python's tracebacks."""


class LogWatch:
    """For one agent's instances."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._tails: dict[str, tuple[str, ...]] = {}

    async def count(self, instances: Sequence[str]) -> LogCount:
        """What they wrote since the last look; the first look at an instance counts nothing."""
        tails = await asyncio.gather(*(self._tail(name) for name in instances))
        lines = errors = 0
        for name, tail in zip(instances, tails, strict=True):
            if tail is None:
                continue
            if name in self._tails:
                fresh = news(self._tails[name], tail)
                lines += len(fresh)
                errors += sum(1 for line in fresh if ERROR.search(line))
            self._tails[name] = tail
        return LogCount(lines, errors)

    def forget(self) -> None:
        """Nobody wants to know any more."""
        self._tails.clear()

    async def _tail(self, name: str) -> tuple[str, ...] | None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await self._platform.logs(name, LINES)
        except (TidegateError, TimeoutError):
            return None


def news(before: Sequence[str], after: Sequence[str]) -> Sequence[str]:
    """The lines of a tail that were not in the one before: what follows the longest overlap of the two."""
    for size in range(min(len(before), len(after)), 0, -1):
        if tuple(before[len(before) - size :]) == tuple(after[:size]):
            return after[size:]
    return after
