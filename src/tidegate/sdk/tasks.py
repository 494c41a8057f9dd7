"""Scheduled tasks and tasks that the control centre asks for: each runs at most once for its id, results are kept.

A result waits in `results` until a heartbeat that carried it was answered; it is reported at least once.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.sdk.wire import TaskResult

log = logging.getLogger("tidegate.sdk")

MOST_RESULTS = 1000
MOST_IDS_REMEMBERED = 10_000
MOST_DETAIL = 2000

Work = Callable[..., object]


@dataclass(frozen=True)
class Scheduled:
    """A function to be called every `every_s` seconds, counted from start to start; a late one is not made up for."""

    name: str
    every_s: float
    work: Work


class Results:
    """What ended and was not yet reported, oldest first; bounded, so that a long outage cannot fill the memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[TaskResult] = deque(maxlen=MOST_RESULTS)
        self._started: dict[str, TaskResult | None] = {}

    def claim(self, task_id: str) -> bool:
        """True for the first caller with this id: what is asked for twice runs once, and its result is told again."""
        with self._lock:
            if task_id in self._started:
                known = self._started[task_id]
                if known is not None and known not in self._waiting:
                    self._waiting.append(known)
                return False
            self._started[task_id] = None
            if len(self._started) > MOST_IDS_REMEMBERED:
                del self._started[next(iter(self._started))]
            return True

    def add(self, result: TaskResult) -> None:
        """Keep a result for the next heartbeat."""
        with self._lock:
            if result.task in self._started:
                self._started[result.task] = result
            if len(self._waiting) == MOST_RESULTS:
                log.warning("%d task results wait for the control centre: the oldest is dropped", MOST_RESULTS)
            self._waiting.append(result)

    def peek(self, most: int = 100) -> tuple[TaskResult, ...]:
        """The oldest results; they stay until `reported`."""
        with self._lock:
            return tuple(self._waiting)[:most]

    def reported(self, results: tuple[TaskResult, ...]) -> None:
        """Forget what the control centre has taken."""
        done = {id(result) for result in results}
        with self._lock:
            kept = [result for result in self._waiting if id(result) not in done]
            self._waiting = deque(kept, maxlen=MOST_RESULTS)


def run(task_id: str, work: Work, arguments: Mapping[str, Any] | None = None) -> TaskResult:
    """Call `work` and turn its return value, or its exception, into a result; never raises."""
    started = time.time()
    try:
        returned = work(**(arguments or {}))
    except Exception as problem:  # whatever the agent's code raises is the task's result
        log.warning("task %s failed: %s", task_id, type(problem).__name__)
        return TaskResult(task_id, False, f"{type(problem).__name__}: {problem}"[:MOST_DETAIL], started, time.time())
    return TaskResult(task_id, True, "" if returned is None else str(returned)[:MOST_DETAIL], started, time.time())


def delay(due: float, every_s: float, now: float) -> float:
    """Seconds that the next run is late already, at `now`: 0 while a schedule is kept."""
    return max(0.0, now - due - every_s)


def next_due(due: float, every_s: float, now: float) -> float:
    """The next moment of the schedule after `now`, on its own grid: what was missed while busy is skipped."""
    return due + every_s * (int((now - due) // every_s) + 1)
