"""What lies between two commits, asked of git in four calls, however many files there are."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from posixpath import basename

from tidegate.model.changes import Change, FileChange, Message

MOST_FILES = 500
MOST_MESSAGES = 500
MOST_HISTORY = 3000
"""Commits that are looked at for who changed the files before."""
CHANGELOG_LINES = 200
PLAIN = ("--no-renames", "--no-ext-diff", "--no-textconv", "--relative")
"""What git would otherwise let the user's configuration, or the repository's attributes, change."""

Ask = Callable[..., Awaitable[str]]
"""Runs git in a repository with these arguments; its output."""


async def changes(ask: Ask, base: str, commit: str) -> Change:
    """From `base` to `commit`; without a base, the commit alone."""
    rows, messages, experience = await asyncio.gather(
        _numstat(ask, base, commit), _messages(ask, f"{base}..{commit}" if base else commit), _experience(ask, commit)
    )
    kept = rows[:MOST_FILES]
    history, log = await asyncio.gather(
        _history(ask, base, [path for path, _, _ in kept]),
        _changelog(ask, base, commit, [path for path, _, _ in rows]),
    )
    files = tuple(FileChange(path, added, deleted, *history.get(path, ((), 0.0))) for path, added, deleted in kept)
    cut = len(rows) > MOST_FILES or len(messages) > MOST_MESSAGES
    return Change(base, files, tuple(messages[:MOST_MESSAGES]), log, experience, cut)


async def _numstat(ask: Ask, base: str, commit: str) -> list[tuple[str, int, int]]:
    wanted = ("--numstat", "-z", *PLAIN)
    if base:
        text = await ask("diff", *wanted, base, commit, "--", ".")
    else:
        text = await ask("diff-tree", "--root", "-r", "--no-commit-id", *wanted, commit, "--", ".")
    rows = []
    for entry in text.split("\0"):
        added, _, rest = entry.partition("\t")
        deleted, _, path = rest.partition("\t")
        if path:
            rows.append((path, _count(added), _count(deleted)))
    return rows


def _count(text: str) -> int:
    """git writes - for binary files."""
    return int(text) if text.isdecimal() else 0


async def _messages(ask: Ask, span: str) -> list[Message]:
    shown = "--format=%H%x00%an%x00%s%x00%b%x00%x01"
    text = await ask("log", "--no-show-signature", f"--max-count={MOST_MESSAGES + 1}", shown, span, "--", ".")
    found = []
    for entry in text.split("\0\x01"):
        parts = entry.lstrip("\n").split("\0", 3)
        if len(parts) == 4:
            commit, author, subject, body = parts
            found.append(Message(commit, subject, body.strip(), author))
    return found


async def _history(ask: Ask, base: str, paths: list[str]) -> dict[str, tuple[tuple[str, ...], float]]:
    """Path -> who changed it before, and when last."""
    if not base or not paths:
        return {}
    shown = ("--format=%x01%at%x00%ae%x00", "--name-only", "-z", *PLAIN, f"--max-count={MOST_HISTORY}")
    text = await ask("log", "--no-show-signature", *shown, base, "--", *paths)
    authors: defaultdict[str, dict[str, None]] = defaultdict(dict)
    last: dict[str, float] = {}
    for entry in text.split("\x01")[1:]:
        at, author, names = entry.split("\0", 2)
        for name in names.replace("\n", "").split("\0"):
            if name:
                authors[name][author] = None
                last[name] = max(last.get(name, 0.0), float(at))
    return {name: (tuple(who), last[name]) for name, who in authors.items()}


async def _changelog(ask: Ask, base: str, commit: str, paths: list[str]) -> tuple[str, ...]:
    found = [path for path in paths if basename(path).lower().partition(".")[0] in ("changelog", "changes", "history")]
    if not base or not found:
        return ()
    text = await ask("diff", "--no-color", *PLAIN, "-U0", base, commit, "--", *found[:1])
    lines = [line[1:] for line in text.splitlines() if line.startswith("+") and not line.startswith("+++")]
    return tuple(lines[:CHANGELOG_LINES])


async def _experience(ask: Ask, commit: str) -> int:
    author = (await ask("log", "-1", "--no-show-signature", "--format=%ae", commit, "--")).strip()
    if not author:
        return 0
    counted = await ask("rev-list", "--count", "--fixed-strings", f"--author=<{author}>", commit, "--")
    return max(0, int(counted) - 1)


async def additions(ask: Ask, base: str, commit: str) -> dict[str, bytes]:
    """Short commit id/path -> the lines that the commit added there; merges add nothing of their own."""
    wanted = ("-p", "-U0", "--no-color", *PLAIN, "--no-merges", f"--max-count={MOST_MESSAGES}", "--format=%x01%h")
    text = await ask("log", "--no-show-signature", *wanted, f"{base}..{commit}" if base else commit, "--", ".")
    found: dict[str, bytes] = {}
    for entry in text.split("\x01")[1:]:
        short, _, patch = entry.partition("\n")
        for path, lines in _added(patch):
            found[f"{short}/{path}"] = "\n".join(lines).encode()
    return found


def _added(patch: str) -> Iterator[tuple[str, list[str]]]:
    """Path and added lines of each file in a patch. A path that git had to quote gets a plain name."""
    for part in re.split(r"^diff --git ", patch, flags=re.MULTILINE)[1:]:
        named = re.search(r"^\+\+\+ b/(.+?)\t?$", part, flags=re.MULTILINE)
        hunks = part.find("\n@@")
        lines = [line[1:] for line in part[hunks:].split("\n") if line.startswith("+")] if hunks >= 0 else []
        if lines:
            path = named[1] if named else "file"
            yield path if ".." not in path.split("/") else "file", lines
