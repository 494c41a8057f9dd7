"""Counters become rates: increments over the latest seconds, tolerating resets; and events counted as they come."""

from collections import deque
from collections.abc import Iterable


class Counter:
    """Readings of one cumulative counter. Times are seconds of any one clock."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._total = 0.0
        self._last: float | None = None

    def add(self, at: float, value: float, keep_s: float) -> None:
        """Take a reading. One lower than before is a reset: it is then all that is known to have happened."""
        if self._last is not None:
            self._total += value - self._last if value >= self._last else value
        self._last = value
        self._points.append((at, self._total))
        while len(self._points) > 2 and self._points[1][0] <= at - keep_s:
            self._points.popleft()

    def rate(self) -> float | None:
        """Per second over what is kept; None before the second reading."""
        if len(self._points) < 2:
            return None
        (since, before), (until, after) = self._points[0], self._points[-1]
        return (after - before) / (until - since) if until > since else None


class Tally:
    """Events that are counted as they come, by whole seconds: memory does not grow with their number."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._seconds: deque[tuple[int, int]] = deque()
        self.total = 0

    def add(self, at: float) -> None:
        """One more."""
        self.total += 1
        second = int(at)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1] = (second, self._seconds[-1][1] + 1)
        else:
            self._seconds.append((second, 1))

    def rate(self, now: float, interval_s: float) -> float | None:
        """Per second over the latest `interval_s`, or over the time since the beginning; None in its first second."""
        while self._seconds and self._seconds[0][0] < now - interval_s - 1:
            self._seconds.popleft()
        span = min(interval_s, now - self._began)
        if span < 1:
            return None
        return sum(count for second, count in self._seconds if second >= int(now - span)) / span


class Totals:
    """Counters of instances added up by revision: what an instance's restart or end takes away stays counted."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}
        self._sums: dict[tuple[str, int], float] = {}

    def add(self, name: str, revision: int, instance: str, value: float, *, from_zero: bool = False) -> None:
        """A reading of one instance. The first one only says where its counting stood, unless it began `from_zero`."""
        before = self._last.get((name, instance), 0.0 if from_zero else value)
        grown = value - before if value >= before else value
        self._last[name, instance] = value
        self._sums[name, revision] = self._sums.get((name, revision), 0.0) + grown

    def of(self, name: str, revisions: Iterable[int]) -> dict[int, float]:
        """The sum of each revision that was ever read."""
        return {number: self._sums[name, number] for number in revisions if (name, number) in self._sums}
