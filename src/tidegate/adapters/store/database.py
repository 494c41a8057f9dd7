"""One database: an engine, a thread that writes, a thread that reads, and errors in plain words.

SQLite in WAL mode with synchronous=FULL: when a commit returns, it is on the disk. Readers never hold a writer up, so
the two have a thread each; writes of this process happen in the order in which they were asked for.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidegate.adapters.store.faults import explain
from tidegate.adapters.store.location import file_of, prepare
from tidegate.model.errors import StoreError

T = TypeVar("T")

BUSY_S = 10.0
"""How long a write waits for another process's transaction."""

CALL_S = 30.0
"""How long a call waits for its thread: longer than BUSY_S, so that the database's own answer comes first."""


def connect(location: str) -> Engine:
    """An engine for the location. A transaction begins as a writer only when `write` is among its options."""
    path = file_of(location)
    if path is None:
        return _server(location)
    prepare(path)
    # pysqlite's own transaction handling begins late and only as a reader, so it is off (isolation_level None) and
    # BEGIN is ours: a writer asks for the lock at once and waits for it, instead of failing when it upgrades.
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"timeout": BUSY_S, "isolation_level": None, "check_same_thread": False},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _server(location: str) -> Engine:
    """PostgreSQL by psycopg, with its waits bounded like SQLite's."""
    url = make_url(location).set(drivername="postgresql+psycopg")
    limits = f"-c lock_timeout={BUSY_S:.0f}s -c statement_timeout={CALL_S:.0f}s"
    try:
        return create_engine(
            url, poolclass=NullPool, connect_args={"connect_timeout": round(BUSY_S), "options": limits}
        )
    except ModuleNotFoundError as error:
        raise StoreError(
            "the state is on a PostgreSQL server, and its driver is not installed",
            hint="pip install 'tidegate[postgresql]'",
        ) from error


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class Lane:
    """One thread with one connection that it keeps."""

    def __init__(self, engine: Engine, name: str, *, write: bool) -> None:
        self._engine = engine.execution_options(write=write)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store-{name}")
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """One transaction. Raises StoreError; after its deadline, whether the work was done is unknown."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)
        try:
            return await asyncio.wait_for(asyncio.shield(future), CALL_S)
        except TimeoutError as error:
            raise StoreError(
                f"the state's disk or server did not answer within {CALL_S:.0f} s",
                hint="look at the disk that holds the state (dmesg, df -h); what was asked may still happen",
            ) from error

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                return work(self._connection)
        except SQLAlchemyError as error:
            self._forget()
            raise explain(error, self._engine.url.render_as_string(hide_password=True)) from error

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except DBAPIError:
                connection.invalidate()

    def close(self) -> None:
        """Wait for what is under way, then let go of the connection."""
        self._thread.submit(self._forget)
        self._thread.shutdown(wait=True)


class Database:
    """Reads and writes, each a transaction in its thread. `commits_ms` holds how long the last thousand writes took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.commits_ms: deque[float] = deque(maxlen=1000)
        self._reader = Lane(engine, "read", write=False)
        self._writer = Lane(engine, "write", write=True)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent snapshot."""
        return await self._reader.run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: on the disk when this returns, without a trace when it raises."""
        began = time.perf_counter()
        result = await self._writer.run(work)
        self.commits_ms.append((time.perf_counter() - began) * 1000)
        return result

    async def aside(self, work: Callable[[], T]) -> T:
        """Run blocking work that is not a transaction, off the loop."""
        return await asyncio.to_thread(work)

    async def compact(self) -> bool:
        """Give the room of what was deleted back to the disk; False while another process writes, and on a server."""
        return await asyncio.to_thread(self._vacuum)

    def _vacuum(self) -> bool:
        if self.engine.dialect.name != "sqlite":
            return False
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM")
        except sqlite3.OperationalError:
            return False
        finally:
            connection.close()
        return True

    async def close(self) -> None:
        """Let go of threads and connections."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.close()
        self._reader.close()
        self.engine.dispose()
