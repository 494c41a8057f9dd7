"""The front for agents with threads: heartbeats and schedules run on daemon threads, signals ask for a stop."""

import logging
import queue
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from tidegate.sdk import tasks
from tidegate.sdk.beats import Beats, Configure, Front
from tidegate.sdk.endpoint import Endpoint
from tidegate.sdk.identity import Identity
from tidegate.sdk.metrics import Metrics
from tidegate.sdk.wire import Status

log = logging.getLogger("tidegate.sdk")


class Agent:
    """Reports one instance to its control centre. Use it with `with`; everything is harmless without a control centre.

    `interval_s` is the first heartbeat interval in seconds; the control centre's answers may change it. `stopping` is
    set by SIGTERM, SIGINT, `ask_to_stop` or the control centre's `drain`; leaving the `with` sends a last heartbeat.
    """

    def __init__(
        self, name: str = "", version: str = "", interval_s: float = 5.0, identity: Identity | None = None
    ) -> None:
        given = identity if identity is not None else Identity.from_environment()
        self.stopping = threading.Event()
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._beats = Beats(given.named(name, version), interval_s, Front(self.ask_to_stop, self._run, self._configure))
        self._scheduled: list[tasks.Scheduled] = []
        self._configures: list[Configure] = []
        self._threads: list[threading.Thread] = []
        self._former: dict[int, Any] = {}
        self._signals: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._endpoint: Endpoint | None = None

    @property
    def identity(self) -> Identity:
        """Who this instance says it is."""
        return self._beats.identity

    @property
    def metrics(self) -> Metrics:
        """The registry that `serve` exposes and the heartbeats carry."""
        return self._beats.metrics

    def status(self, status: Status | str, message: str = "") -> None:
        """Report ok, degraded or failing with a sentence, now rather than at the next interval."""
        self._beats.say(Status(status), message)
        self._wake.set()

    def every(self, seconds: float) -> Callable[[tasks.Work], tasks.Work]:
        """Decorate a function to be called every `seconds` while the agent runs; its results are reported."""
        if not seconds > 0:
            raise ValueError(f"every: {seconds} seconds; give a number above 0")

        def decorate(work: tasks.Work) -> tasks.Work:
            self._scheduled.append(tasks.Scheduled(work.__name__, seconds, work))
            self._beats.works[work.__name__] = work
            return work

        return decorate

    def task(self, work: tasks.Work) -> tasks.Work:
        """Decorate a function that the control centre may ask for by its name."""
        self._beats.works[work.__name__] = work
        return work

    def on_configure(self, work: Configure) -> Configure:
        """Decorate a function that takes a new configuration (a dict); raising refuses it and is reported."""
        self._configures.append(work)
        return work

    def serve(self, port: int, host: str = "0.0.0.0") -> int:  # noqa: S104 - probes come from outside the container
        """Serve /health, /ready (503 once stopping) and /metrics; returns the port that was bound."""
        self._endpoint = Endpoint((host, port), self.metrics, lambda: not self.stopping.is_set())
        return self._endpoint.port

    def ask_to_stop(self, reason: str = "asked to") -> None:
        """Set `stopping`, and say so to the control centre."""
        if not self.stopping.is_set():
            self._beats.say(Status.STOPPING, reason)
            self.stopping.set()
            self._wake.set()

    def start(self) -> Self:
        """Begin heartbeats and schedules; on the main thread SIGTERM and SIGINT are taken over until `stop`."""
        if threading.current_thread() is threading.main_thread():
            # PID 1 has no default action for SIGTERM: without a handler a stop takes its full grace.
            for number in (signal.SIGTERM, signal.SIGINT):
                self._former[number] = signal.signal(number, self._on_signal)
            self._spawn(self._watch_signals, "tidegate-signals")
        if not self._beats.silent:
            self._spawn(self._beat, "tidegate-heartbeat")
        for scheduled in self._scheduled:
            self._spawn(self._keep, f"tidegate-{scheduled.name}", scheduled)
        return self

    def stop(self) -> None:
        """End the threads (a running task is given 2 s) and send the last heartbeat, `stopping`, within 2 s."""
        self.ask_to_stop("stopped")
        self._closed.set()
        self._wake.set()
        self._signals.put("")
        deadline = time.monotonic() + 2.0
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        self._beats.exchange(timeout_s=2.0)
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()
        if self._endpoint is not None:
            self._endpoint.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, target: Callable[..., None], name: str, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only a SimpleQueue may be touched here: Event.set could wait for a lock that the interrupted thread holds.
        self._signals.put(signal.Signals(number).name)

    def _watch_signals(self) -> None:
        while name := self._signals.get():
            self.ask_to_stop(name)

    def _beat(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            wait = self._beats.exchange()
            # A change of status wakes it, but never faster than the shortest interval.
            self._closed.wait(0.2)
            self._wake.wait(max(0.0, wait - 0.2))

    def _keep(self, scheduled: tasks.Scheduled) -> None:
        due = time.monotonic() + scheduled.every_s
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            self._beats.results.add(tasks.run(scheduled.name, scheduled.work))
            late = tasks.delay(due, scheduled.every_s, time.monotonic())
            self._beats.delays.set(late, task=scheduled.name)
            due = tasks.next_due(due, scheduled.every_s, time.monotonic())

    def _run(self, task_id: str, work: tasks.Work, arguments: dict[str, Any]) -> None:
        def target() -> None:
            self._beats.results.add(tasks.run(task_id, work, arguments))
            self._wake.set()

        threading.Thread(target=target, name=f"tidegate-task-{task_id}", daemon=True).start()

    def _configure(self, task_id: str, config: dict[str, Any]) -> None:
        def apply() -> None:
            if not self._configures:
                raise ValueError("this agent takes no configuration from the control centre")
            for work in self._configures:
                work(config)

        self._run(task_id, apply, {})
