"""Bring a database to this Tidegate's tables: once, under a lock, before anything else looks at it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from tidegate.adapters.store.faults import explain
from tidegate.model.errors import StoreError

KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every migration in migrations/versions, oldest first. Kept here so that an up-to-date database needs no Alembic."""

LOCK_S = 60.0

SERVER_LOCK = 0x71DE6A7E
"""Number of PostgreSQL's advisory lock under which the tables are made."""


def migrate(engine: Engine, file: Path | None) -> None:
    """Make or upgrade the tables. Raises StoreError for a newer Tidegate's database, or one that is not Tidegate's."""
    where = engine.url.render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            if _current(connection, where) == KNOWN[-1]:
                return
        lock = _locked(file) if file is not None else nullcontext()
        with lock, engine.execution_options(write=True).begin() as connection:
            if file is None:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SERVER_LOCK})")
            if _current(connection, where) != KNOWN[-1]:
                _run(connection)
    except SQLAlchemyError as error:
        raise explain(error, where) from error


def _current(connection: Connection, where: str) -> str | None:
    tables = set(inspect(connection).get_table_names())
    place = where.removeprefix("sqlite:///")
    if "alembic_version" not in tables:
        if tables:
            raise StoreError(
                f"{place} is a database of something else (tables {', '.join(sorted(tables)[:5])})",
                hint="point TIDEGATE_STATE at a file of its own",
            )
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found is not None and found not in KNOWN:
        raise StoreError(
            f"{place} was written by a newer Tidegate (tables {found}; this one knows up to {KNOWN[-1]})",
            hint="use the newer Tidegate with this state, or point TIDEGATE_STATE at another place",
        )
    return found


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time migrates; the others wait for it, at most LOCK_S."""
    lock = os.open(f"{file}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{file} is being upgraded by another process, for more than {LOCK_S:.0f} s",
                        hint=f"find it (fuser {file}.lock) and see what it waits for",
                    ) from error
                time.sleep(0.05)
        yield
    finally:
        os.close(lock)
