"""The reserve: a file written in advance, for the one decision that must not wait for space on the disk.

Moving traffic to ready stable instances may act before the store could be written (DESIGN.md). What was decided then
goes here: slots of one size, filled with bytes when the file is made, each overwritten in place by one write and
synced, so no new block is asked of the file system (a copy-on-write one may need some all the same). A slot is

    magic 4 | record number 8 | length 4 | CRC-32 of number, length and body 4 | body: zlib of JSON

and a torn one fails its checksum, which is as if it had not been written. Numbers only grow; an emptied slot keeps its
number with a length of 0.
"""

import fcntl
import json
import os
import secrets
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.model.errors import StoreError

MAGIC = b"TGR1"
SLOT = 65536
SLOTS = 16
HEAD = struct.Struct("<4sQII")
FIRST = 4096
"""The file begins with its random name, which makes record numbers unique for ever; the slots follow."""


@dataclass(frozen=True)
class Record:
    """One thing that was written. `id` is unique among all reserves; `content` is plain."""

    number: int
    id: str
    content: dict[str, Any]


class Reserve:
    """The file of slots. Blocking; calls take milliseconds. Safe between processes by a lock on the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the file and fill it. Raises StoreError when there is no room for it now; an existing one stays."""
        if self._size() == FIRST + SLOT * SLOTS:
            return
        partial = self.path.with_name(f"{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            try:
                head = MAGIC + secrets.token_hex(8).encode()
                _write_all(handle, head.ljust(FIRST, b"\0") + b"\xa5" * (SLOT * SLOTS), 0)
                os.fsync(handle)
            finally:
                os.close(handle)
            # link, not rename: of two processes that make it at once, the first one's stays.
            os.link(partial, self.path)
        except FileExistsError:
            pass
        except OSError as error:
            raise StoreError(
                f"{self.path}: no reserve for a full disk could be made: {error.strerror}",
                hint="free two megabytes on the disk that holds the state",
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def record(self, content: dict[str, Any]) -> Record:
        """Write into the first empty slot; on the disk when this returns. Raises StoreError when it cannot."""
        body = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 6)
        if len(body) > SLOT - HEAD.size:
            raise StoreError(f"{self.path}: {len(body)} bytes do not fit a slot of the reserve")
        with self._open() as handle:
            slots = list(_heads(handle))
            free = next((slot for slot, (_, length) in enumerate(slots) if length == 0), None)
            if free is None:
                raise StoreError(
                    f"{self.path}: all {SLOTS} slots of the reserve are taken",
                    hint="free space on the disk that holds the state: they are folded in then",
                )
            number = max(number for number, _ in slots) + 1
            _write_all(handle, _slot(number, body), FIRST + free * SLOT)
            os.fdatasync(handle)
            return Record(number, f"{_name(handle)}:{number}", content)

    def records(self) -> list[Record]:
        """What was written and not emptied, oldest first. Empty where there is no reserve."""
        if self._size() == 0:
            return []
        with self._open() as handle:
            taken = [(number, slot) for slot, (number, length) in enumerate(_heads(handle)) if length]
            name = _name(handle)
            return [Record(number, f"{name}:{number}", _content(handle, slot)) for number, slot in sorted(taken)]

    def empty(self, numbers: Collection[int]) -> None:
        """Give back the slots of these records."""
        with self._open() as handle:
            for slot, (number, length) in enumerate(list(_heads(handle))):
                if length and number in numbers:
                    _write_all(handle, _slot(number, b""), FIRST + slot * SLOT)
            os.fdatasync(handle)

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    @contextmanager
    def _open(self) -> Iterator[int]:
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield handle
            finally:
                os.close(handle)
        except OSError as error:
            raise StoreError(
                f"{self.path}: the reserve cannot be used: {error.strerror}",
                hint="look at the disk that holds the state (dmesg, df -h)",
            ) from error


def _slot(number: int, body: bytes) -> bytes:
    length = len(body)
    return HEAD.pack(MAGIC, number, length, _checksum(number, body)) + body


def _checksum(number: int, body: bytes) -> int:
    return zlib.crc32(struct.pack("<QI", number, len(body)) + body)


def _heads(handle: int) -> Iterator[tuple[int, int]]:
    """Number and length of each slot; (0, 0) for one that was never written, or torn."""
    for slot in range(SLOTS):
        head = os.pread(handle, HEAD.size, FIRST + slot * SLOT)
        magic, number, length, checksum = HEAD.unpack(head)
        if magic != MAGIC or length > SLOT - HEAD.size:
            yield 0, 0
            continue
        body = os.pread(handle, length, FIRST + slot * SLOT + HEAD.size)
        yield (number, length) if _checksum(number, body) == checksum else (0, 0)


def _content(handle: int, slot: int) -> dict[str, Any]:
    start = FIRST + slot * SLOT
    length = HEAD.unpack(os.pread(handle, HEAD.size, start))[2]
    content: dict[str, Any] = json.loads(zlib.decompress(os.pread(handle, length, start + HEAD.size)))
    return content


def _name(handle: int) -> str:
    return os.pread(handle, 16, len(MAGIC)).decode()


def _write_all(handle: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
