"""Variables in values, by Compose's rules: $VAR, ${VAR}, ${VAR:-default}, ${VAR:?error}, ${VAR:+other}, $$.

Source: https://docs.docker.com/reference/compose-file/interpolation/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
DEEPEST = 10


class InterpolationError(ValueError):
    """A variable is written wrongly, or a required one is missing. `hint` says how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Expansion:
    """A value with its variables filled in. `used` were found in the environment; `unset` became nothing."""

    text: str
    used: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()


def expand(text: str, environ: Mapping[str, str], depth: int = 0) -> Expansion:
    """Fill in the variables of one value. Raises InterpolationError."""
    if "$" not in text:
        return Expansion(text)
    if depth > DEEPEST:
        raise InterpolationError(
            f"variables are nested deeper than {DEEPEST}", "use one default inside another at most"
        )
    parts: list[Expansion] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(Expansion(text[position:dollar]))
        piece, position = _one(text, dollar, environ, depth)
        parts.append(piece)
    parts.append(Expansion(text[position:]))
    return _join(parts)


def _join(parts: list[Expansion]) -> Expansion:
    return Expansion(
        "".join(part.text for part in parts),
        tuple(name for part in parts for name in part.used),
        tuple(name for part in parts for name in part.unset),
    )


def _one(text: str, dollar: int, environ: Mapping[str, str], depth: int) -> tuple[Expansion, int]:
    """The variable that begins at `dollar`, and where the text goes on."""
    after = dollar + 1
    if text.startswith("$", after):
        return Expansion("$"), after + 1
    if text.startswith("{", after):
        end = _closing(text, after)
        return _braced(text[after + 1 : end], environ, depth), end + 1
    if match := _NAME.match(text, after):
        return _plain(match[0], environ), match.end()
    raise InterpolationError("a $ begins no variable", "write $$ for a dollar sign")


def _closing(text: str, brace: int) -> int:
    level = 0
    for position in range(brace, len(text)):
        if text[position] == "{" and text[position - 1] == "$":
            level += 1
        elif text[position] == "}":
            level -= 1
            if level == 0:
                return position
    raise InterpolationError("a ${ is never closed", "close it with }, or write $$ for a dollar sign")


def _plain(name: str, environ: Mapping[str, str]) -> Expansion:
    if name in environ:
        return Expansion(environ[name], used=(name,))
    return Expansion("", unset=(name,))


def _braced(inner: str, environ: Mapping[str, str], depth: int) -> Expansion:
    match = _NAME.match(inner)
    if not match:
        raise InterpolationError("a ${ } holds no variable's name", "write ${NAME}, or $$ for a dollar sign")
    name, rest = match[0], inner[match.end() :]
    if not rest:
        return _plain(name, environ)
    operator = _OPERATOR.match(rest)
    if not operator:
        raise InterpolationError(
            f"${{{name}...}} is not a form of Compose's interpolation", f"write ${{{name}}} or ${{{name}:-default}}"
        )
    other = rest[operator.end() :]
    present = name in environ and (not operator[0].startswith(":") or environ[name] != "")
    match operator[0][-1]:
        case "+":
            return expand(other, environ, depth + 1) if present else Expansion("")
        case "-":
            return _plain(name, environ) if present else expand(other, environ, depth + 1)
        case _:
            if present:
                return _plain(name, environ)
            reason = expand(other, environ, depth + 1).text or "it is required"
            raise InterpolationError(
                f"the variable {name} is not set: {reason}", f"export {name}, or write it into .env"
            )
