"""One database: an engine, threads that write, note and read, and errors in plain words.

SQLite in WAL mode with synchronous=FULL: when a commit returns, it is on the disk. Readers never hold a writer up, so
the two have a thread each; writes of this process happen in the order in which they were asked for.

What may be lost with the machine's power (that the lease was renewed, what was sampled) is noted in a thread of its own
that does not wait for the disk: a decision must not stand in a queue behind it. That thread also carries the log over
into the database, which takes several times as long as a commit.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from tidegate.adapters.store.faults import explain
from tidegate.adapters.store.location import file_of, prepare
from tidegate.model.errors import StoreError

T = TypeVar("T")

Version = tuple[int, int]
"""Which opening of the connection, and SQLite's own number, which means something within one connection only."""

BUSY_S = 10.0
"""How long a write waits for another process's transaction."""

MOST_PAGES = 10_000
"""Of SQLite's log, 40 MB: only where nothing is ever noted does a commit carry the log over itself."""

TICK_S = 0.1
"""Two writes that are further apart have different times of change in every file system that SQLite's log works on."""

SURE_S = 2.0
"""How long the log's file is trusted in place of SQLite."""

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


def _raw(connection: Connection) -> sqlite3.Connection:
    """SQLite's own connection, for what must not be in a transaction."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


MOST_TOGETHER = 200
"""Works that share one commit at most."""


class Lane:
    """One thread with one connection that it keeps.

    What is asked for while a commit is under way shares the next one, each work in a savepoint of its own: one that
    fails leaves no trace and harms no other. A commit costs milliseconds; a thousand writes a second need this.
    """

    def __init__(self, engine: Engine, name: str, *, write: bool, pragmas: Sequence[str] = ()) -> None:
        self._engine = engine.execution_options(write=write)
        self._pragmas = pragmas if engine.dialect.name == "sqlite" else ()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store-{name}")
        self._connection: Connection | None = None
        self._opened = 0
        self._waiting: deque[tuple[Callable[[Connection], Any], Future[Any]]] = deque()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """One transaction. Raises StoreError; after its deadline, whether the work was done is unknown."""
        done: Future[T] = Future()
        self._waiting.append((work, done))
        self._thread.submit(self._next)
        return await self._in_time(asyncio.wrap_future(done))

    async def version(self) -> Version | None:
        """Another one after any other connection has committed something; None on a server.

        Source: https://www.sqlite.org/pragma.html#pragma_data_version
        """
        if self._engine.dialect.name != "sqlite":
            return None
        return await self._in_time(asyncio.get_running_loop().run_in_executor(self._thread, self._version))

    async def _in_time(self, future: asyncio.Future[T]) -> T:
        try:
            return await asyncio.wait_for(asyncio.shield(future), CALL_S)
        except TimeoutError as error:
            raise StoreError(
                f"the state's disk or server did not answer within {CALL_S:.0f} s",
                hint="look at the disk that holds the state (dmesg, df -h); what was asked may still happen",
            ) from error

    def _next(self) -> None:
        """Everything that waits, in one transaction, in the order in which it was asked for."""
        waiting = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_TOGETHER))]
        batch = [(work, done) for work, done in waiting if done.set_running_or_notify_cancel()]
        if not batch:
            return  # an earlier turn took it along
        try:
            ends = self._transaction([work for work, _ in batch])
        except BaseException as error:
            ends = [error] * len(batch)
        for (_, done), end in zip(batch, ends, strict=True):
            if isinstance(end, SQLAlchemyError):
                done.set_exception(explain(end, self._engine.url.render_as_string(hide_password=True)))
            elif isinstance(end, BaseException):
                done.set_exception(end)
            else:
                done.set_result(end)

    def _transaction(self, works: list[Callable[[Connection], Any]]) -> list[Any]:
        """Results, an exception in the place of each work that failed alone. Raises when nothing was kept."""
        try:
            with self._open().begin() as transaction:
                connection = transaction.connection
                if len(works) == 1:
                    return [works[0](connection)]
                return [_apart(connection, work) for work in works]
        except SQLAlchemyError as error:
            self._forget()
            raise explain(error, self._engine.url.render_as_string(hide_password=True)) from error

    def _version(self) -> Version | None:
        try:
            # Past SQLAlchemy, which would begin a transaction: this is asked many times a second.
            [number] = _raw(self._open()).execute("PRAGMA data_version").fetchone()
            return self._opened, int(number)
        except (SQLAlchemyError, sqlite3.Error):
            return None  # whoever reads next is told what is wrong

    def _open(self) -> Connection:
        if self._connection is None:
            connection = self._engine.connect()
            for pragma in self._pragmas:
                _raw(connection).execute(f"PRAGMA {pragma}")
            self._connection = connection
            self._opened += 1
        return self._connection

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


def _apart(connection: Connection, work: Callable[[Connection], Any]) -> Any:
    """One of several works. A database in trouble ends them all; anything else is this work's alone."""
    try:
        with connection.begin_nested():
            return work(connection)
    except IntegrityError as error:
        return error
    except SQLAlchemyError:
        raise
    except Exception as error:
        return error


class Database:
    """Reads and writes, each a transaction in its thread. `commits_ms` holds how long the last thousand writes took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.commits_ms: deque[float] = deque(maxlen=1000)
        self._version: Version | None = None
        self._seen: tuple[int, int, int] | None = None
        self._sure_until = 0.0
        self._reader = Lane(engine, "read", write=False)
        self._writer = Lane(engine, "write", write=True, pragmas=(f"wal_autocheckpoint={MOST_PAGES}",))
        self._noter = Lane(engine, "note", write=True, pragmas=("synchronous=NORMAL",))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a consistent snapshot."""
        return await self._reader.run(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: on the disk when this returns, without a trace when it raises."""
        began = time.perf_counter()
        result = await self._writer.run(work)
        self.commits_ms.append((time.perf_counter() - began) * 1000)
        return result

    async def note(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction that an end of this process keeps, and a power failure may take back."""
        return await self._noter.run(work)

    async def version(self) -> Version | None:
        """Stays the same for as long as nobody commits anything, in any process; None where that cannot be told.

        SQLite is asked in its thread, which costs more than all else of an idle controller: not while its log's file is
        as it was.
        """
        stamp = self._stamp()
        if stamp is None or stamp != self._seen or time.monotonic() > self._sure_until:
            self._version = await self._reader.version()
            self._seen, self._sure_until = stamp, time.monotonic() + SURE_S
        return self._version

    def _stamp(self) -> tuple[int, int, int] | None:
        """What tells one state of the log's file from the next; None while the file system's clock might not."""
        if self.engine.dialect.name != "sqlite":
            return None
        try:
            log = Path(f"{self.engine.url.database}-wal").stat()
        except OSError:
            return None
        return (log.st_ino, log.st_size, log.st_mtime_ns) if abs(time.time() - log.st_mtime) > TICK_S else None

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
        for lane in (self._writer, self._noter, self._reader):
            lane.close()
        self.engine.dispose()


class Latest(Generic[T]):
    """What is read over and over and seldom changes: read again only when somebody has committed something since."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: Version | None = None
        self._known: tuple[object, T] | None = None

    async def get(self, question: object, read: Callable[[], Awaitable[T]]) -> T:
        """The answer to the question. The version is looked at first: what is committed after it is found next time."""
        version = await self._database.version()
        if self._known is None or version is None or (version, question) != (self._version, self._known[0]):
            self._version, self._known = version, (question, await read())
        return self._known[1]
