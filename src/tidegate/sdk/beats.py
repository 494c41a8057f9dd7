"""One heartbeat exchange, the same for threads and asyncio: compose, send, take the answer, say how long to wait.

The fronts (agent.py, aio.py) own the waiting and the running; this module owns what is said and what is understood.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tidegate.sdk import credentials, tasks, wire
from tidegate.sdk.backoff import Backoff
from tidegate.sdk.identity import Identity
from tidegate.sdk.metrics import Metrics
from tidegate.sdk.wire import Action, Heartbeat, Refused, Status, TaskResult

log = logging.getLogger("tidegate.sdk")
log.addHandler(logging.NullHandler())

SHORTEST_S, LONGEST_S = 0.2, 300.0
MOST_METRICS = 200

Configure = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Front:
    """What the exchange asks of the front that runs it."""

    drain: Callable[[str], None]
    run: Callable[[str, tasks.Work, dict[str, Any]], None]
    configure: Callable[[str, dict[str, Any]], None]


class Beats:
    """The state of the conversation. `exchange` may be called from any thread; one runs at a time."""

    def __init__(self, identity: Identity, interval_s: float, front: Front) -> None:
        self.identity = identity
        self.interval_s = min(max(interval_s, SHORTEST_S), LONGEST_S)
        self.metrics = Metrics()
        self.delays = self.metrics.gauge("agent_task_delay_seconds", "seconds that a scheduled task is late")
        self.results = tasks.Results()
        self.works: dict[str, tasks.Work] = {}
        self._front = front
        self._lock = threading.Lock()
        self._exchanging = threading.Lock()
        self._status, self._message = Status.OK, ""
        self._sequence = 0
        self._described = False
        self._backoff = Backoff()

    @property
    def silent(self) -> bool:
        """True where no control centre was given: nothing is ever sent."""
        return not self.identity.url

    def say(self, status: Status, message: str = "") -> None:
        """Set what the next heartbeat reports. Once stopping, it stays so."""
        with self._lock:
            if self._status is not Status.STOPPING:
                self._status, self._message = status, message[:1000]

    def exchange(self, timeout_s: float = 5.0) -> float:
        """Send one heartbeat and act on the answer; returns the seconds to wait for the next. Never raises.

        A failed exchange costs the agent nothing but a line in its log when it begins and one when it ends.
        """
        if self.silent or not self._exchanging.acquire(timeout=timeout_s):
            return LONGEST_S
        try:
            return self._exchange(timeout_s)
        finally:
            self._exchanging.release()

    def _exchange(self, timeout_s: float) -> float:
        try:
            self.identity = credentials.enrolled(self.identity, timeout_s)
            heartbeat = self._compose()
            reply = wire.send(self.identity, heartbeat, timeout_s)
        except (Refused, OSError) as problem:
            return self._failed(problem)
        except Exception as problem:  # reporting must never be what kills the agent
            return self._failed(problem)
        if self._backoff.failures:
            log.info("heartbeats are taken again after %d failures", self._backoff.failures)
        self._backoff.reset()
        if heartbeat.described:
            self._described = True
        self.results.reported(heartbeat.completed)
        self.interval_s = min(max(reply.interval_s, SHORTEST_S), LONGEST_S)
        again = [self._act(action) for action in reply.next]
        # Sent a little early, never late, and not in step with the other instances.
        wait = self._backoff.uniform(0.9, 1.0) * self.interval_s
        return SHORTEST_S if any(again) else wait

    def _compose(self) -> Heartbeat:
        metrics = dict(islice(self.metrics.snapshot().items(), MOST_METRICS))
        with self._lock:
            self._sequence += 1
            results, described = self.results.peek(), not self._described
            return Heartbeat(self._status, self._sequence, self.interval_s, self._message, metrics, results, described)

    def _failed(self, problem: Exception) -> float:
        if isinstance(problem, Refused) and problem.code == 401:
            self.identity = credentials.forgotten(self.identity)
        if not self._backoff.failures:
            reason = str(problem) if isinstance(problem, Refused) else type(problem).__name__
            log.warning("heartbeat not taken (%s); trying again in the background", reason)
        wait = self._backoff.next(problem.retry_after_s if isinstance(problem, Refused) else 0.0)
        return max(SHORTEST_S, wait)

    def _act(self, action: Action) -> bool:
        """Hand one action to the front; True when the next heartbeat is wanted at once."""
        given = action.arguments
        match action.name:
            case "report_state":
                self._described = False
                return True
            case "drain":
                self._front.drain(str(given.get("reason", "the control centre asked for it")))
            case "configure" if isinstance(given.get("config"), dict):
                if self.results.claim(task_id := str(given.get("id", "configure"))):
                    self._front.configure(task_id, given["config"])
            case "run_task":
                self._run_task(given)
        return False

    def _run_task(self, given: dict[str, Any]) -> None:
        task_id, name = str(given.get("id", "")), str(given.get("task", ""))
        if not task_id or not self.results.claim(task_id):
            return
        work, arguments = self.works.get(name), given.get("arguments", {})
        if work is None or not isinstance(arguments, dict):
            reason = f"no task {name!r} here; known: {', '.join(sorted(self.works)) or 'none'}"
            self.results.add(TaskResult(task_id, False, reason, 0.0, 0.0))
            return
        self._front.run(task_id, work, arguments)
