"""A copy of the whole state, taken while it is in use, and put back later.

A restored state is older than what its controllers left in gateways and on hosts: its leases get a new epoch, the time
of day, so that whoever decides next counts for more than whoever decided before.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import func, select, update

from tidegate.adapters.store.database import connect
from tidegate.adapters.store.location import FILE, file_of, prepare
from tidegate.adapters.store.migrate import migrate
from tidegate.adapters.store.tables import lease
from tidegate.model.errors import ConflictError, NotFoundError, StoreError, UsageError

BESIDE = ("agents.key", "secrets")
"""What lies beside the file and belongs to the state: without the key agents' tokens are worth nothing."""


def backup(location: str, folder: Path) -> Path:
    """Copy the state into a new folder, whole and at one moment, whoever writes meanwhile. Raises StoreError."""
    file = _file(location)
    if not file.exists():
        raise NotFoundError(f"{file}: there is no state to back up")
    if folder.exists():
        raise UsageError(f"{folder} is there already", hint="a backup goes into a folder of its own")
    try:
        folder.mkdir(parents=True, mode=0o700)
        copy = folder / FILE
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        for name in BESIDE:
            _copy(file.parent / name, folder / name)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{folder}: {error}", hint="is there room on the disk?") from error
    return copy


def restore(location: str, folder: Path, now: float) -> Path | None:
    """Put a backup in the state's place; where the former state lies now. Raises ConflictError while one decides."""
    file, copy = _file(location), folder / FILE
    if not copy.exists():
        raise NotFoundError(f"{copy}: there is no backup", hint="tidegate state backup FOLDER makes one")
    _sound(copy)
    if file.exists():
        _nobody_decides(location, now)
    former = _aside(file)
    prepare(file)
    try:
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
        for name in BESIDE:
            _copy(folder / name, file.parent / name)
    except (OSError, sqlite3.Error) as error:
        kept = f"; the former state is {former}" if former else ""
        raise StoreError(f"{file}: {error}{kept}", hint="is there room on the disk?") from error
    fence(location, now)
    return former


def fence(location: str, now: float) -> int:
    """Raise every lease's epoch to the time of day; the epoch. For a state that was put back by other means."""
    engine = connect(location)
    try:
        migrate(engine, file_of(location))
        with engine.execution_options(write=True).begin() as connection:
            known = connection.execute(select(func.max(lease.c.epoch))).scalar_one()
            epoch = max(int(known) + 1, int(now))
            free = {"epoch": epoch, "holder": "", "expires_at": 0.0}
            connection.execute(update(lease).values(free))
        return epoch
    finally:
        engine.dispose()


def _file(location: str) -> Path:
    file = file_of(location)
    if file is None:
        raise UsageError(
            "the state is on a database server, which has its own tools",
            hint="pg_dump and pg_restore, then tidegate state fence (docs/how-to/operate.md)",
        )
    return file


def _nobody_decides(location: str, now: float) -> None:
    engine = connect(location)
    try:
        with engine.connect() as connection:
            held = select(lease.c.holder).where(lease.c.holder != "", lease.c.expires_at > now)
            holder = connection.execute(held).scalars().first()
    finally:
        engine.dispose()
    if holder is not None:
        raise ConflictError(f"{holder} decides on this state now", hint="stop tidegate serve first")


def _sound(copy: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise StoreError(f"{copy} is damaged: {said}", hint="take an older backup; the state was left alone")


def _aside(file: Path) -> Path | None:
    """Move a state out of the way, its journal and its reserve too; nothing is thrown away."""
    if not file.exists():
        return None
    former = file.with_name(f"{file.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    for end in ("", "-wal", "-shm", ".reserve"):
        part = file.with_name(file.name + end)
        if part.exists():
            part.rename(former.with_name(former.name + end))
    return former


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        shutil.copy2(source, target)
