"""What a person sees while something goes on: a live tree on a terminal, plain lines of events anywhere else."""

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tidegate.cli.output import Output, colourful
from tidegate.model.event import Event
from tidegate.views.events import event_data, event_lines
from tidegate.views.lines import Line
from tidegate.views.status import Status, status_lines

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

REDRAW_S = 0.2
LATEST = 6
"""Events shown below the tree."""


class Screen:
    """Use as a context. `live` needs a terminal with colours; everything goes to stderr but with `on_stdout`."""

    def __init__(self, output: Output, on_stdout: bool = False) -> None:
        self._stream = sys.stdout if on_stdout else sys.stderr
        self._output = output
        self.live = colourful(self._stream) and not output.as_json
        self._records = output.as_json and on_stdout
        self._drawn_at = 0.0
        self._latest: list[Event] = []
        self._drawn: tuple[Line, ...] = ()
        self._rich: Live | None = None
        self.above: tuple[Line, ...] = ()

    def __enter__(self) -> "Screen":
        if self.live:
            self._begin()
        return self

    def __exit__(self, *problem: object) -> None:
        self.pause()

    def _begin(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._rich = Live(console=Console(file=self._stream), auto_refresh=False, vertical_overflow="crop")
        self._rich.start()
        self._drawn = ()

    def pause(self) -> None:
        """Leave the terminal to somebody else; the last picture stays."""
        if self._rich is not None:
            self._rich.stop()
            self._rich = None

    def resume(self) -> None:
        """Draw again."""
        if self.live and self._rich is None:
            self._begin()

    def tell(self, events: Iterable[Event]) -> None:
        """What happened."""
        events = list(events)
        self._latest = [*self._latest, *events][-LATEST:]
        if self.live or not events:
            return
        if self._records:
            for event in events:
                self._output.record(event_data(None, event))
            return
        from tidegate.cli.output import put

        put(self._stream, event_lines(events))

    def draw(self, status: Status | None, now: bool = False) -> None:
        """What is `above`, then the tree, at most five times a second."""
        if self._rich is None or (not now and time.monotonic() - self._drawn_at < REDRAW_S):
            return
        self._drawn_at = time.monotonic()
        tree = status_lines(status) if status is not None else ()
        lines = (*self.above, *tree, (), *event_lines(self._latest))
        if lines != self._drawn:
            self._drawn = lines
            self._rich.update(rich_text(lines), refresh=True)


def rich_text(lines: Iterable[Line]) -> "Text":
    """The lines for rich, one row each."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for index, one in enumerate(lines):
        if index:
            text.append("\n")
        for span in one:
            text.append(span.text, style=span.tone or None)
    return text
