"""Kinds of single values and small lists that the tables of keys are made of."""

import math
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

from tidegate.spec import scalars
from tidegate.spec.context import Context, nearest
from tidegate.spec.document import Node
from tidegate.spec.shapes import INVALID, Either, ListOf, Scalar, Schema, Shape, mismatch

_VARIABLE = r"\$"
"""In JSON Schema a value may also be a text with a variable in it, since variables are filled in before the check."""


def text(expected: str = "a text", pattern: str = "", hint: str = "", example: str = "") -> Scalar:
    """A text that is not empty, optionally of a pattern that must match as a whole."""
    compiled = re.compile(pattern) if pattern else None
    advice = hint or (f"write {example}" if example else "")

    def convert(node: Node) -> str:
        if not isinstance(node.value, str):
            raise ValueError(f'put it in quotes: "{node.raw[:40]}"' if node.raw else advice)
        if not node.value or (compiled and not compiled.fullmatch(node.value)):
            raise ValueError(advice)
        return node.value

    json: Schema = {"type": "string", "minLength": 1}
    if pattern:
        json["pattern"] = f"^({pattern})$|{_VARIABLE}"
    return Scalar(expected, convert, json, advice)


def whole(least: int, most: int, noun: str = "a whole number") -> Scalar:
    """A whole number in a range; a text of digits will do, as it does in Compose."""
    expected = f"{noun} from {least} to {most}"

    def convert(node: Node) -> int:
        value = node.value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError("")
        return value

    json: Schema = {"type": ["integer", "string"], "minimum": least, "maximum": most}
    return Scalar(expected, convert, {**json, "pattern": f"^[0-9]+$|{_VARIABLE}"})


def number(least: float, expected: str) -> Scalar:
    """A finite number of at least `least`; a text of digits will do."""

    def convert(node: Node) -> float:
        value = node.value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
            raise ValueError("")
        return float(value)

    return Scalar(
        expected,
        convert,
        {"type": ["number", "string"], "minimum": least, "pattern": rf"^[0-9]+(\.[0-9]+)?$|{_VARIABLE}"},
    )


def flag() -> Scalar:
    """true or false."""

    def convert(node: Node) -> bool:
        if isinstance(node.value, bool):
            return node.value
        folded = node.text.lower() if isinstance(node.value, str) else ""
        if folded in ("true", "false"):
            return folded == "true"
        meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}.get(folded)
        raise ValueError(f"write {meant}: YAML 1.2 reads {node.raw} as a text" if meant else "")

    return Scalar(
        "true or false", convert, {"type": ["boolean", "string"], "pattern": f"^([Tt]rue|[Ff]alse)$|{_VARIABLE}"}
    )


def choice(*words: str, refused: dict[str, str] | None = None) -> Scalar:
    """One of some words. `refused` gives the reason why a word that people try will not do."""
    expected = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]

    def convert(node: Node) -> str:
        value = node.text
        if value in words:
            return value
        reason = (refused or {}).get(value.lower(), "")
        guess = nearest(value, words)
        raise ValueError(reason or (f"did you mean {guess}?" if guess else ""))

    return Scalar(expected, convert, {"anyOf": [{"enum": list(words)}, {"type": "string", "pattern": _VARIABLE}]})


def duration(least: float = 0.0) -> Scalar:
    """A Go duration or plain seconds; the value is seconds."""
    expected = "a duration such as 30s or 1m30s" + (", longer than 0" if least > 0 else "")

    def convert(node: Node) -> float:
        if isinstance(node.value, bool) or node.value is None or not node.text:
            raise ValueError("write 30s, 1m30s or 500ms")
        seconds = scalars.duration(node.text)
        if seconds < least or (least > 0 and seconds == 0):
            raise ValueError("write 30s, 1m30s or 500ms")
        return seconds

    pattern = r"^([0-9]+(\.[0-9]+)?|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$|" + _VARIABLE
    return Scalar(expected, convert, {"type": ["string", "number"], "pattern": pattern, "minimum": least})


def byte_size() -> Scalar:
    """A Compose byte size; the value is bytes."""

    def convert(node: Node) -> int:
        if isinstance(node.value, bool) or node.value is None:
            raise ValueError("write 512m or 1g")
        count = scalars.byte_size(node.text)
        if not 0 < count < 2**63:
            raise ValueError(
                "write more than 0 bytes and less than 8 EiB" if count else "leave the key out for no limit"
            )
        return count

    pattern = r"^[0-9]+(\.[0-9]+)?\s*([bkmgtBKMGT][bB]?|[kmgtKMGT][iI][bB])?$|" + _VARIABLE
    return Scalar("a byte size such as 512m", convert, {"type": ["string", "integer"], "pattern": pattern})


def free(expected: str, parse: Callable[[str], Any], hint: str, hidden: bool = False) -> Scalar:
    """A text or number that `parse` understands; parse raises ValueError with a hint."""

    def convert(node: Node) -> Any:
        if isinstance(node.value, bool) or node.value is None:
            raise ValueError(hint)
        return parse(node.text)

    return Scalar(expected, convert, {"type": ["string", "number"]}, hint, hidden)


def _words(node: Node) -> tuple[str, ...]:
    if not isinstance(node.value, str):
        raise ValueError("put it in quotes")
    try:
        return tuple(shlex.split(node.value))
    except ValueError:
        raise ValueError("a quotation mark is never closed: write the command as a list") from None


def _word(node: Node) -> str:
    if node.value is None:
        raise ValueError('write "" for an empty text')
    return node.text


WORD = Scalar("a text", _word, {"type": ["string", "number", "boolean"]})
PORT = whole(1, 65535, "a port")
WORDS = ListOf(WORD)
COMMAND = Either(
    "a command: a text or a list",
    scalar=Scalar("a command: a text or a list", _words, {"type": "string"}),
    sequence=WORDS,
    hint='write ["program", "argument"]',
)


class OneOrMore:
    """A list, or a single item in its place; the value is a tuple either way."""

    def __init__(self, item: Shape) -> None:
        self.item = item
        self.expected = f"{item.expected} or a list of them"

    def read(self, node: Node, context: Context) -> Any:
        """Always a tuple."""
        if isinstance(node.value, tuple):
            return ListOf(self.item).read(node, context)
        value = self.item.read(node, context)
        return value if value is INVALID else (value,)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Either form."""
        item = self.item.schema(definitions)
        return {"anyOf": [item, {"type": "array", "items": item}]}


class Pairs:
    """NAME: value, or a list of NAME=value. A name without a value is None. Values never reach messages."""

    def __init__(self, noun: str, separators: Sequence[str] = ("=",), bare: bool = True) -> None:
        self.noun = noun
        self.expected = f"{noun}: value, as a mapping or a list of {noun}={'value'}"
        self._separators = separators
        self._bare = bare

    def read(self, node: Node, context: Context) -> Any:
        """Name -> text, or None for a name alone. Later entries of a list win, as in Compose."""
        match node.value:
            case dict(entries):
                return {
                    name: self._value(child, context) for name, child in entries.items() if self._usable(child, context)
                }
            case tuple(items):
                return dict(pair for item in items if (pair := self._pair(item, context)))
            case _:
                return mismatch(node, self.expected, context, f"write {self.noun}: value, one a line", hidden=True)

    def _usable(self, child: Node, context: Context) -> bool:
        if not child.is_scalar:
            mismatch(child, "a text", context, "put lists and mappings in quotes, as JSON for example")
            return False
        if child.value is None and not self._bare:
            mismatch(child, "a text", context, 'write "" for an empty text')
            return False
        return True

    def _value(self, child: Node, context: Context) -> str | None:
        return None if child.value is None else child.text

    def _pair(self, item: Node, context: Context) -> tuple[str, str | None] | None:
        if not isinstance(item.value, str):
            mismatch(item, f"{self.noun}=value", context, f"write {self.noun}=value", hidden=True)
            return None
        for separator in self._separators:
            name, found, value = item.text.partition(separator)
            if found and name:
                return name, value
        if not self._bare or not item.text:
            mismatch(item, f"{self.noun}=value", context, f"write {self.noun}=value", hidden=True)
            return None
        return item.text, None

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """A mapping or a list of texts."""
        single = ["string", "number", "boolean", *(["null"] if self._bare else [])]
        return {
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": single}},
                {"type": "array", "items": {"type": "string"}},
            ]
        }
