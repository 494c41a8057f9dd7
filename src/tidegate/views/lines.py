"""Lines of toned text, and trees made of them. A tone is a colour's name, "dim" or "bold"."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


@dataclass(frozen=True)
class Span:
    """A piece of a line in one tone; none means the terminal's own."""

    text: str
    tone: str = ""


Line = tuple[Span, ...]


def line(*pieces: str | Span) -> Line:
    """A line of plain and toned pieces."""
    return tuple(Span(piece) if isinstance(piece, str) else piece for piece in pieces)


def plain(lines: Iterable[Line]) -> str:
    """Without colour, without blanks at the ends."""
    return "\n".join("".join(span.text for span in one).rstrip() for one in lines)


def ansi(lines: Iterable[Line]) -> str:
    """With the terminal's colours."""
    return "\n".join("".join(_ansi(span) for span in one) for one in lines)


def _ansi(span: Span) -> str:
    return f"\x1b[{CODES[span.tone]}m{span.text}\x1b[0m" if span.tone in CODES else span.text


@dataclass(frozen=True)
class Node:
    """A tree: a line and what hangs from it."""

    line: Line
    children: tuple["Node", ...] = ()


def tree(node: Node) -> tuple[Line, ...]:
    """The lines of a tree with its branches drawn."""
    return (node.line, *_branches(node.children))


def _branches(children: Sequence[Node], lead: str = "") -> Iterable[Line]:
    for index, child in enumerate(children):
        last = index == len(children) - 1
        yield (Span(f"{lead}{'└─' if last else '├─'} ", "dim"), *child.line)
        yield from _branches(child.children, f"{lead}{'   ' if last else '│  '}")


def table(rows: Sequence[Sequence[str | Span]], head: Sequence[str] = ()) -> tuple[Line, ...]:
    """Columns as wide as their widest cell."""
    cells = [tuple(Span(title, "dim") for title in head)] if head else []
    cells += [line(*row) for row in rows]
    widths = [
        max((len(row[i].text) for row in cells if i < len(row)), default=0)
        for i in range(len(max(cells, key=len, default=())))
    ]
    return tuple(
        tuple(
            Span(span.text.ljust(widths[i]) + "  " if i < len(row) - 1 else span.text, span.tone)
            for i, span in enumerate(row)
        )
        for row in cells
    )


def clock(at: float) -> str:
    """A moment of today as a person reads it (unix seconds in, local time out)."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def date(at: float) -> str:
    """A moment of any day (unix seconds in, local time out)."""
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def span_of(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def first_line(text: str) -> str:
    """The sentence itself, without the log lines below it."""
    return text.split("\n", 1)[0]
