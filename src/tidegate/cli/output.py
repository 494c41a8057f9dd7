"""stdout carries data, stderr messages; colour only on a terminal that wants it."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from tidegate.views.lines import Line, ansi, plain


@dataclass(frozen=True)
class Output:
    """Where a command writes. `as_json` puts one JSON document on stdout instead of lines for a person."""

    as_json: bool = False

    def lines(self, lines: Iterable[Line]) -> None:
        """Lines for a person on stdout."""
        put(sys.stdout, lines)

    def data(self, value: Any) -> None:
        """A JSON document on stdout."""
        print(json.dumps(value, indent=2, default=str, ensure_ascii=False), flush=True)

    def record(self, value: Any) -> None:
        """One JSON document of a stream, on a line of its own."""
        print(json.dumps(value, default=str, ensure_ascii=False), flush=True)

    def message(self, text: str) -> None:
        """A sentence on stderr."""
        print(text, file=sys.stderr, flush=True)

    def progress(self, lines: Iterable[Line]) -> None:
        """Lines for a person on stderr."""
        put(sys.stderr, lines)


def put(stream: IO[str], lines: Iterable[Line]) -> None:
    """Write lines, coloured where the stream wants it."""
    shown = ansi if colourful(stream) else plain
    text = shown(lines)
    if text:
        print(text, file=stream, flush=True)


def colourful(stream: IO[str]) -> bool:
    """Whether to colour. Source: https://no-color.org (set and not empty switches colour off)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(stream.isatty())
