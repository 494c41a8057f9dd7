"""The front for agents with asyncio: the same conversation, tasks and handlers are coroutines on the agent's loop."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, cast

from tidegate.sdk import tasks
from tidegate.sdk.beats import Beats, Front
from tidegate.sdk.identity import Identity
from tidegate.sdk.metrics import Metrics
from tidegate.sdk.wire import Status, TaskResult

Coroutine = Callable[..., Awaitable[object]]


class AsyncAgent:
    """Reports one instance to its control centre. Use it with `async with`; harmless without a control centre.

    `stopping` is set by SIGTERM, SIGINT, `ask_to_stop` or the control centre's `drain`. The network is used on a
    thread of its own, so that a slow name server never holds up the agent's loop.
    """

    def __init__(
        self, name: str = "", version: str = "", interval_s: float = 5.0, identity: Identity | None = None
    ) -> None:
        given = identity if identity is not None else Identity.from_environment()
        self.stopping = asyncio.Event()
        self._wake = asyncio.Event()
        self._beats = Beats(given.named(name, version), interval_s, Front(self._drain, self._run, self._configure))
        self._scheduled: list[tuple[float, Coroutine]] = []
        self._configures: list[Coroutine] = []
        self._running: set[asyncio.Future[Any]] = set()
        self._signals: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def identity(self) -> Identity:
        """Who this instance says it is."""
        return self._beats.identity

    @property
    def metrics(self) -> Metrics:
        """The registry that the heartbeats carry; render it at your own /metrics."""
        return self._beats.metrics

    def status(self, status: Status | str, message: str = "") -> None:
        """Report ok, degraded or failing with a sentence, now rather than at the next interval."""
        self._beats.say(Status(status), message)
        self._wake.set()

    def every(self, seconds: float) -> Callable[[Coroutine], Coroutine]:
        """Decorate a coroutine function to be awaited every `seconds` while the agent runs; results are reported."""
        if not seconds > 0:
            raise ValueError(f"every: {seconds} seconds; give a number above 0")

        def decorate(work: Coroutine) -> Coroutine:
            self._scheduled.append((seconds, self.task(work)))
            return work

        return decorate

    def task(self, work: Coroutine) -> Coroutine:
        """Decorate a coroutine function that the control centre may ask for by its name."""
        self._beats.works[getattr(work, "__name__", repr(work))] = work
        return work

    def on_configure(self, work: Coroutine) -> Coroutine:
        """Decorate a coroutine function that takes a new configuration (a dict); raising refuses it."""
        self._configures.append(work)
        return work

    def ask_to_stop(self, reason: str = "asked to") -> None:
        """Set `stopping`, and say so to the control centre. Call it on the loop's thread."""
        if not self.stopping.is_set():
            self._beats.say(Status.STOPPING, reason)
            self.stopping.set()
            self._wake.set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError):
                    self._loop.add_signal_handler(number, self.ask_to_stop, number.name)
                    self._signals.append(number)
        if not self._beats.silent:
            self._spawn(self._beat())
        for seconds, work in self._scheduled:
            self._spawn(self._keep(seconds, work))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ask_to_stop("stopped")
        for future in self._running:
            future.cancel()
        if self._running:  # a task of the agent's may refuse to end: not for longer than this
            await asyncio.wait(self._running, timeout=2.0)
        await asyncio.to_thread(self._beats.exchange, 2.0)
        for number in self._signals:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _spawn(self, work: Awaitable[object]) -> None:
        future = asyncio.ensure_future(work)
        self._running.add(future)
        future.add_done_callback(self._running.discard)

    async def _beat(self) -> None:
        while True:
            self._wake.clear()
            wait = await asyncio.shield(asyncio.to_thread(self._beats.exchange))
            # A change of status wakes it, but never faster than the shortest interval.
            await asyncio.sleep(0.2)
            # Not wait_for: until Python 3.12 it swallows a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wait - 0.2)):
                    await self._wake.wait()

    async def _keep(self, every_s: float, work: Coroutine) -> None:
        due = time.monotonic() + every_s
        while not self.stopping.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            name = getattr(work, "__name__", repr(work))
            await self._report(name, work, {})
            self._beats.delays.set(tasks.delay(due, every_s, time.monotonic()), task=name)
            due = tasks.next_due(due, every_s, time.monotonic())

    async def _report(self, task_id: str, work: Coroutine, arguments: dict[str, Any]) -> None:
        started = time.time()
        try:
            returned = await work(**arguments)
            ok, detail = True, "" if returned is None else str(returned)
        except Exception as problem:  # whatever the agent's code raises is the task's result
            ok, detail = False, f"{type(problem).__name__}: {problem}"
        self._beats.results.add(TaskResult(task_id, ok, detail[: tasks.MOST_DETAIL], started, time.time()))
        self._wake.set()

    # The three below are called on the exchange's thread: they only hand over to the loop.

    def _drain(self, reason: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.ask_to_stop, reason)

    def _run(self, task_id: str, work: tasks.Work, arguments: dict[str, Any]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(
                lambda: self._spawn(self._report(task_id, cast(Coroutine, work), arguments))
            )

    def _configure(self, task_id: str, config: dict[str, Any]) -> None:
        async def apply() -> None:
            if not self._configures:
                raise ValueError("this agent takes no configuration from the control centre")
            for work in self._configures:
                await work(config)

        self._run(task_id, apply, {})
