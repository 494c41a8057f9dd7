"""Watches deadlines: one entry a name in a heap, so that a hundred thousand agents cost nothing while they report.

A heartbeat only moves a deadline, which the heap learns when the former one has passed.
"""

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

N = TypeVar("N")


class Watch(Generic[N]):
    """Names with deadlines (unix seconds)."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, N]] = []
        self._first: dict[N, float] = {}
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._first)

    def expect(self, name: N, at: float) -> None:
        """Look at a name at this time, or earlier where that was said before."""
        if at < self._first.get(name, float("inf")):
            self._push(name, at)

    def overdue(self, now: float, deadline_of: Callable[[N], float | None]) -> list[N]:
        """Those whose deadline has passed; each is told once, and is not watched until it is expected again.

        `deadline_of` gives the deadline as it is now; None: nobody waits for it any more.
        """
        found = []
        while self._heap and self._heap[0][0] <= now:
            at, _, name = heapq.heappop(self._heap)
            if self._first.get(name) != at:
                continue  # an entry that an earlier one has replaced
            del self._first[name]
            deadline = deadline_of(name)
            if deadline is None:
                continue
            if deadline > now:
                self._push(name, deadline)
            else:
                found.append(name)
        return found

    def _push(self, name: N, at: float) -> None:
        self._first[name] = at
        self._pushed += 1
        heapq.heappush(self._heap, (at, self._pushed, name))
