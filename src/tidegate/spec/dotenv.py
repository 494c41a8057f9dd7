"""Files of KEY=VALUE lines as Compose reads them (.env, env_file): comments, export, quotes, escapes, variables.

Source: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax
"""

import re
from collections.abc import Mapping

from tidegate.spec.interpolate import InterpolationError, expand

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.\-]*)\s*(?:[=:]\s*(.*))?", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class DotenvError(ValueError):
    """A line cannot be read; the message never holds the line, which may be a secret."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def parse(text: str, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Variables in order; None for a name without a value. Raises DotenvError with the line's number."""
    found: dict[str, str | None] = {}
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, line = number + 1, lines[number]
        number += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise DotenvError(start, "expected NAME=VALUE")
        value = match[2]
        if value is None:
            found[match[1]] = environ.get(match[1])
            continue
        quote = value[:1]
        if quote in ("'", '"'):
            while not _closed(value, quote):
                if number == len(lines):
                    raise DotenvError(start, f"a {quote} is never closed")
                value += "\n" + lines[number]
                number += 1
        known = {**{name: text for name, text in found.items() if text is not None}, **environ}
        found[match[1]] = _value(value, known, start)
    return found


def _closed(value: str, quote: str) -> bool:
    return _end(value, quote) > 0


def _end(value: str, quote: str) -> int:
    position = 1
    while position < len(value):
        if value[position] == "\\" and quote == '"':
            position += 2
            continue
        if value[position] == quote:
            return position
        position += 1
    return -1


def _value(value: str, known: Mapping[str, str], line: int) -> str:
    quote = value[:1]
    if quote == "'":
        return value[1 : _end(value, quote)]
    if quote == '"':
        inner = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), value[1 : _end(value, quote)])
    else:
        inner = re.split(r"\s+#", value, maxsplit=1)[0].strip()
    try:
        return expand(inner, known).text
    except InterpolationError as error:
        raise DotenvError(line, str(error)) from None
