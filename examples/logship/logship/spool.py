"""The queue on disk. A line is acknowledged only once it is here; it leaves only once the sink has taken it.

Each process writes to a directory of its own, under a lock that dies with it. Whoever finds a directory whose lock is
free takes its segments over: a restart, a killed neighbour and a removed canary are all the same case. Delivery is at
least once; every record has an id by which the sink tells repeats.
"""

import asyncio
import contextlib
import fcntl
import os
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SEGMENT_BYTES = 1 << 20
BATCH_BYTES = 1 << 20


class SpoolFull(Exception):
    """No room, in our own bound or on the disk. Nothing of the refused append remains."""


@dataclass
class Segment:
    """One file of records, oldest first. `read` is how far the sink has taken it, in bytes."""

    path: Path
    size: int = 0
    read: int = 0


@dataclass(frozen=True)
class Batch:
    """Whole records to be shipped together: `data` is newline-delimited JSON."""

    data: bytes
    lines: int
    segment: Segment


class Spool:
    """Used on the event loop's thread only."""

    def __init__(self, base: Path, most_bytes: int, fsync: bool = False) -> None:
        self._base, self._most, self._fsync = base, most_bytes, fsync
        name = uuid.uuid4().hex
        unborn = base / f".{name}"  # nobody adopts a hidden directory: it appears only once it is locked
        unborn.mkdir(parents=True)
        self._lock = _locked(unborn)
        self._home = unborn.rename(base / name)
        self._segments: deque[Segment] = deque()
        self._active: BinaryIO | None = None
        self._number = 0
        self._syncing: asyncio.Future[None] | None = None
        self.lines = 0  # waiting
        self.added = asyncio.Event()

    @property
    def bytes(self) -> int:
        """Bytes that wait for the sink."""
        return sum(segment.size - segment.read for segment in self._segments)

    @property
    def full(self) -> bool:
        """True when the next append would be refused."""
        return self.bytes >= self._most

    def append(self, records: list[bytes]) -> None:
        """Write records, each ending in a line feed: all of them or, with SpoolFull, none."""
        data = b"".join(records)
        if self.bytes + len(data) > self._most:
            raise SpoolFull(f"the spool holds {self.bytes} of {self._most} bytes")
        try:
            segment, file = self._writable()
            written = 0
            try:
                while written < len(data):
                    written += os.write(file.fileno(), data[written:])
            except OSError:
                os.ftruncate(file.fileno(), segment.size)
                raise
        except OSError as problem:
            raise SpoolFull(f"the spool cannot be written: {problem.strerror}") from problem
        segment.size += len(data)
        self.lines += len(records)
        self.added.set()

    async def settle(self) -> None:
        """With fsync on, return when what was appended is on the disk; many callers share one fsync."""
        if not self._fsync or self._active is None:
            return
        if self._syncing is not None:  # it may have begun before our append: wait for its end, then share the next
            await asyncio.wait({self._syncing})
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.ensure_future(self._sync())
        await asyncio.shield(self._syncing)

    async def _sync(self) -> None:
        await asyncio.sleep(0)  # those who came in the same turn of the loop are in
        if self._active is not None:
            descriptor = os.dup(self._active.fileno())
            try:
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)

    def peek(self, most_lines: int) -> Batch | None:
        """The oldest records that the sink has not taken, or None."""
        while self._segments:
            segment = self._segments[0]
            if segment.read < segment.size:
                return _read(segment, most_lines)
            if self._active is not None and len(self._segments) == 1:
                return None
            self._segments.popleft()
            segment.path.unlink(missing_ok=True)
        return None

    def taken(self, batch: Batch) -> None:
        """The sink has the batch that `peek` gave: forget it."""
        batch.segment.read += len(
            batch.data
        )  # not simply the first: one that was adopted meanwhile may stand before it
        self.lines -= batch.lines

    def adopt(self) -> int:
        """Take over what dead processes left; returns the number of lines."""
        before = self.lines
        for other in self._base.iterdir():
            if other != self._home and other.is_dir() and not other.name.startswith("."):
                try:
                    lock = _locked(other)
                except OSError:
                    continue  # alive, or gone while we looked
                with lock:
                    for path in sorted(other.glob("*.ndjson")):
                        self._take_over(path)
                    (other / "lock").unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # another one was as quick as we are
                        other.rmdir()
        return self.lines - before

    def _take_over(self, path: Path) -> None:
        self._number += 1
        mine = self._home / f"{self._number:09d}.ndjson"
        path.rename(mine)
        data = mine.read_bytes()
        # A line without its end was cut by the crash, so it was never acknowledged.
        segment = Segment(mine, data.rfind(b"\n") + 1)
        position = len(self._segments) - (self._active is not None)
        self._segments.insert(position, segment)
        self.lines += data.count(b"\n")
        self.added.set()

    def close(self) -> bool:
        """Let go of the directory; returns True, and removes it, when nothing waits any more."""
        empty = self.peek(1) is None
        if self._active is not None:
            self._active.close()
            self._active = None
        if empty:
            for path in self._home.iterdir():
                path.unlink()
            self._home.rmdir()
        self._lock.close()
        return empty

    def _writable(self) -> tuple[Segment, BinaryIO]:
        if self._active is not None and self._segments[-1].size < SEGMENT_BYTES:
            return self._segments[-1], self._active
        self._number += 1
        path = self._home / f"{self._number:09d}.ndjson"
        file = path.open("ab", buffering=0)
        if self._fsync:
            _sync_directory(self._home)
        if self._active is not None:
            if self._fsync:
                os.fsync(self._active.fileno())
            self._active.close()
        self._active = file
        self._segments.append(Segment(path))
        return self._segments[-1], file


def _read(segment: Segment, most_lines: int) -> Batch:
    with segment.path.open("rb") as file:
        file.seek(segment.read)
        data = file.read(min(BATCH_BYTES, segment.size - segment.read))
        if b"\n" not in data:  # one record longer than a batch
            data += file.readline()
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)[:most_lines]
    return Batch(b"".join(lines), len(lines), segment)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(directory: Path) -> BinaryIO:
    """Open and lock the directory's lock file; raises OSError when another process has it."""
    file = (directory / "lock").open("ab", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file
