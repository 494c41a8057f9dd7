"""Follows files: every complete line once, across rotation (rename or truncation) and restarts of this agent.

Where we are is kept in offsets.json, saved after the spool has the lines. A crash between the two reads lines again,
with the same ids, so the sink drops them.
"""

import asyncio
import contextlib
import fcntl
import glob
import json
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from logship.spool import SpoolFull

CHUNK = 256 * 1024
LONGEST_LINE = 256 * 1024
PERIOD_S = 0.2

Emit = Callable[[list[bytes]], Awaitable[None]]


@dataclass
class Position:
    """How far one file was read. `generation` makes ids unique when an inode number comes again."""

    path: str
    inode: int
    offset: int
    generation: str


def record(identifier: str, source: str, line: str) -> bytes:
    """One record of the spool and of the sink: JSON, one line."""
    return json.dumps({"id": identifier, "at": round(time.time(), 3), "source": source, "line": line}).encode() + b"\n"


class Follower:
    """Follows the files that match `patterns`. `emit` stores records, or raises: then they are read again later."""

    def __init__(self, patterns: list[str], state: Path, emit: Emit) -> None:
        self._patterns, self._state, self._emit = patterns, state, emit
        self._open: dict[int, tuple[BinaryIO, Position]] = {}
        self._lock: BinaryIO | None = None

    async def run(self) -> None:
        """Follow until cancelled. Of several instances with one state directory, one follows."""
        try:
            while True:
                with contextlib.suppress(OSError, SpoolFull):  # what was not taken is read again at the next turn
                    if self._lock is not None or self._take_lock():
                        await self.turn()
                await asyncio.sleep(PERIOD_S)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the files, and of the lock, so that another instance follows on."""
        for file, _ in self._open.values():
            file.close()
        self._open.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def turn(self) -> None:
        """Read what there is, in every file, once."""
        current = self._discover()
        changed = False
        for inode, (file, position) in list(self._open.items()):
            rotated = current.get(position.path) != inode
            while await self._read(file, position, rotated):
                changed = True
            if rotated:
                file.close()
                del self._open[inode]
                changed = True
        if changed:
            self._save()

    async def _read(self, file: BinaryIO, position: Position, last: bool) -> bool:
        """Read one chunk; True when there may be more. `last`: nobody will complete a half line any more."""
        if os.fstat(file.fileno()).st_size < position.offset:  # truncated in place: it begins anew
            position.offset, position.generation = 0, uuid.uuid4().hex[:12]
        file.seek(position.offset)
        data = file.read(CHUNK)
        end = data.rfind(b"\n") + 1
        if not end and data and (last or len(data) >= LONGEST_LINE):
            end = len(data)
        if not end:
            return False
        records, at = [], position.offset
        for line in data[:end].splitlines(keepends=True):
            text = line.rstrip(b"\r\n").decode("utf-8", "replace")
            if text:
                records.append(record(f"{position.generation}-{at}", position.path, text))
            at += len(line)
        await self._emit(records)
        position.offset += end
        return True

    def _discover(self) -> dict[str, int]:
        """Open what is new; returns the inode of each path that matches now."""
        saved = self._load() if not self._open else []
        current: dict[str, int] = {}
        paths = sorted({path for pattern in self._patterns for path in glob.glob(pattern)})  # noqa: PTH207 - absolute globs
        for path in paths:
            with contextlib.suppress(OSError):
                current[path] = Path(path).stat().st_ino
        for position in saved:  # rotated while we were away: its new name stands beside the old one
            if current.get(position.path) != position.inode:
                self._open_at(_find(position), position)
        for path, inode in current.items():
            if inode not in self._open:
                known = next((p for p in saved if p.inode == inode and p.path == path), None)
                self._open_at(path, known or Position(path, inode, 0, uuid.uuid4().hex[:12]))
        if saved or any(inode not in {p.inode for p in saved} for inode in self._open):
            self._save()
        return current

    def _open_at(self, path: str, position: Position) -> None:
        if path:
            with contextlib.suppress(OSError):
                file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - kept open while it is followed
                if os.fstat(file.fileno()).st_ino == position.inode:
                    self._open[position.inode] = (file, position)
                else:
                    file.close()

    def _take_lock(self) -> bool:
        self._state.mkdir(parents=True, exist_ok=True)
        file = (self._state / "follow.lock").open("ab", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._lock = file
        return True

    def _load(self) -> list[Position]:
        try:
            return [Position(**item) for item in json.loads((self._state / "offsets.json").read_text())]
        except (OSError, ValueError, TypeError):
            return []

    def _save(self) -> None:
        new = self._state / "offsets.json.new"
        new.write_text(json.dumps([asdict(position) for _, position in self._open.values()]))
        new.replace(self._state / "offsets.json")


def _find(position: Position) -> str:
    path = Path(position.path)
    for sibling in path.parent.glob(glob.escape(path.name) + "*"):
        with contextlib.suppress(OSError):
            if sibling.stat().st_ino == position.inode:
                return str(sibling)
    return ""
