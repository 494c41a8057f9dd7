"""Patterns of a .dockerignore file. The last one that matches decides; a `!` brings back.

Source: https://docs.docker.com/build/concepts/context/#dockerignore-files and moby's patternmatcher.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from posixpath import normpath


@dataclass(frozen=True)
class Pattern:
    """One line: what it matches, and whether it takes out or brings back."""

    regex: re.Pattern[str]
    brings_back: bool


def parse(text: str) -> tuple[Pattern, ...]:
    """The patterns of a file. Raises ValueError for one that cannot be understood."""
    patterns = []
    for line in text.removeprefix("\ufeff").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        wanted = line.strip()
        brings_back = wanted.startswith("!")
        path = normpath(wanted.removeprefix("!").strip()).lstrip("/")
        if path not in ("", "."):
            patterns.append(Pattern(_regex(path), brings_back))
    return tuple(patterns)


def ignored(path: str, patterns: Iterable[Pattern]) -> bool:
    """Whether a file (relative, with slashes) stays out of the build; a folder's pattern takes its files too."""
    parents = [path[:index] for index, character in enumerate(path) if character == "/"]
    out = False
    for pattern in patterns:
        if out is pattern.brings_back and any(pattern.regex.fullmatch(name) for name in (*parents, path)):
            out = not pattern.brings_back
    return out


def _regex(path: str) -> re.Pattern[str]:
    """`**` is any number of folders, `*` and `?` stay within one, `[...]` as in Go's filepath.Match."""
    out, rest = [], path
    while rest:
        if rest.startswith("**"):
            rest = rest[2:]
            if rest.startswith("/"):
                rest = rest[1:]
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif match := re.match(r"\[(\^?)((?:\\.|[^\]\\])+)\]", rest):
            out.append(f"[{match[1]}{match[2]}]")
            rest = rest[match.end() :]
        elif rest[0] == "\\" and len(rest) > 1:
            out.append(re.escape(rest[1]))
            rest = rest[2:]
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(rest[0], re.escape(rest[0])))
            rest = rest[1:]
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{path!r}: {error}") from error
