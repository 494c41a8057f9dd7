"""See an intent through, showing what happens: the command is a temporary controller while nobody else decides."""

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from tidegate.cli.screen import Screen
from tidegate.controller.preview import Preview
from tidegate.controller.session import Session, Snapshot
from tidegate.controller.site import Site
from tidegate.model.errors import TidegateError
from tidegate.model.intent import Abort, Answer, Intent
from tidegate.model.rollout import AgentState
from tidegate.views.status import status_of

HEAR_S = 0.05
LOOK_S = 1.0
QUESTION = (
    "\nThe rollout is under way. [d]etach (traffic stays as it is), [a]bort (traffic back to stable), [c]ontinue? "
)


class Ending(Enum):
    """How a command's watch ended."""

    DONE = "done"
    DETACHED = "detached"
    TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Progress:
    """What a command knows of its intent while it waits."""

    intent: Intent
    answer: Answer | None
    state: AgentState | None
    seen: Preview | None
    deciding: bool


Goal = Callable[[Progress], bool]


@dataclass(frozen=True)
class Result:
    """What became of it. `aborted_here` says that the person at this terminal stopped it."""

    ending: Ending
    progress: Progress
    aborted_here: bool = False


@dataclass
class Follower:
    """One command's watch over one intent. `look` asks the host every second, for goals that need to know."""

    session: Session
    site: Site
    screen: Screen
    by: str
    look: bool = False
    interactive: bool = field(default_factory=lambda: sys.stdin.isatty() and sys.stderr.isatty())
    _answer: Answer | None = None
    _seen: Preview | None = None
    _detach: bool = False
    _aborted: bool = False
    _asking: "asyncio.Task[None] | None" = None
    _state: AgentState | None = None
    _deciding: bool = False

    def known(self, answer: Answer) -> None:
        """There is nothing to wait for: this is the answer."""
        self._answer = answer

    async def follow(self, intent: Intent, goal: Goal, timeout_s: float | None) -> Result:
        """Until the goal is reached, the time is over, or somebody at the terminal had enough."""
        helpers = [asyncio.create_task(self._hear(intent))]
        if self.look or self.screen.live:
            helpers.append(asyncio.create_task(self._look()))
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self._interrupted, number)

        def reached(state: AgentState | None) -> bool:
            self._state = state
            return self._detach or goal(self._progress(intent))

        ending = Ending.DONE
        try:
            with self.screen:
                await self.session.see_through(reached, self._show, timeout_s)
        except TimeoutError:
            ending = Ending.TIMED_OUT
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            await self._end(helpers)
        self._state = await self.session.ports.store.load(self.session.key)
        ending = Ending.DETACHED if self._detach else ending
        return Result(ending, self._progress(intent), self._aborted)

    def _progress(self, intent: Intent) -> Progress:
        return Progress(intent, self._answer, self._state, self._seen, self._deciding)

    def _show(self, snapshot: Snapshot) -> None:
        self._deciding = snapshot.deciding
        self.screen.tell(snapshot.events)
        if self.screen.live:
            observed, now = self._seen.observation if self._seen else None, self.session.ports.clock.now()
            self.screen.draw(status_of(snapshot.state, observed, now) if snapshot.state is not None else None)

    async def _hear(self, intent: Intent) -> None:
        """Wait for the answer."""
        while self._answer is None:
            with suppress(TidegateError):
                self._answer = await self.session.answer(intent)
            await asyncio.sleep(HEAR_S)

    async def _look(self) -> None:
        """See what the host says."""
        while True:
            with suppress(TidegateError):
                self._seen = await self.site.preview(self.session.key)
            await asyncio.sleep(LOOK_S)

    def _interrupted(self, number: int) -> None:
        asking = self._asking is not None and not self._asking.done()
        if number != signal.SIGINT or not self.interactive or asking or not self._deciding:
            self._detach = True
            return
        self.screen.pause()
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        """Detach, abort or go on; the controller goes on meanwhile."""
        sys.stderr.write(QUESTION)
        sys.stderr.flush()
        chosen = await _read_line()
        match chosen.strip().lower()[:1]:
            case "a":
                self._aborted = True
                await self.session.ask(Abort(), self.by, "Ctrl-C")
                self.screen.resume()
            case "c":
                self.screen.resume()
            case _:
                self._detach = True

    async def _end(self, helpers: "list[asyncio.Task[None]]") -> None:
        tasks = [*helpers, *([self._asking] if self._asking else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _read_line() -> str:
    """A line of the terminal's; nothing when it is closed. Never blocks the controller."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[str] = loop.create_future()

    def readable() -> None:
        if not heard.done():
            heard.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, readable)
    try:
        return await heard
    finally:
        loop.remove_reader(sys.stdin)
