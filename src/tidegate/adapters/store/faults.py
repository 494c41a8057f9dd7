"""What went wrong with the database, in words that say what to do."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tidegate.model.errors import StoreError

FULL = "the disk that holds the state is full: nothing of this was saved"
READ_ONLY = "the state cannot be written: it, or its disk, is read-only"
BUSY = "the state is locked by another process, and stayed so"
CORRUPT = "the state's file is damaged, or is not a database"

HINTS = {
    FULL: "free space there (df -h); Tidegate goes on by itself once it can write",
    READ_ONLY: "mend the permissions or remount the disk, or point TIDEGATE_STATE at another place",
    BUSY: "find who holds it open (fuser FILE, lsof FILE) and end what hangs",
    CORRUPT: "keep the file, restore a backup, or move it away to begin with an empty state (what runs is adopted)",
}

# Primary result codes. Source: https://www.sqlite.org/rescode.html
BY_CODE = {
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_CORRUPT: CORRUPT,
    sqlite3.SQLITE_NOTADB: CORRUPT,
}


def explain(error: SQLAlchemyError, where: str) -> StoreError:
    """The StoreError for what the database said. `where` names the database, without a password."""
    place = where.removeprefix("sqlite:///")
    original = error.orig if isinstance(error, DBAPIError) else None
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", None)
        said = BY_CODE.get(code & 0xFF) if code is not None else None
        # A full disk shows as an I/O error or "cannot open" when the WAL or its index cannot be made or grown.
        if said is None and _no_space(place):
            said = FULL
        if said is not None:
            return StoreError(f"{place}: {said}", hint=HINTS[said])
        return StoreError(f"{place}: {original}", hint="look at the disk that holds the state (dmesg, df -h)")
    text = str(original or error).strip().splitlines()[0]
    return StoreError(f"{place}: {text}", hint="see that the database server runs and can be reached")


def _no_space(place: str) -> bool:

    folder = Path(place).parent
    try:
        room = os.statvfs(folder)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < 65536
