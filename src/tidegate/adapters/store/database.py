"""One database: an engine, a thread that writes, a thread that reads, and errors in plain words.

SQLite in WAL mode with synchronous=FULL: when a commit returns, it is on the disk. Readers never hold a writer up, so
the two have a thread each; writes of this process happen in the order in which they were asked for.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
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


MOST_TOGETHER = 200
"""Works that share one commit at most."""


class Lane:
    """One thread with one connection that it keeps.

    What is asked for while a commit is under way shares the next one, each work in a savepoint of its own: one that
    fails leaves no trace and harms no other. A commit costs milliseconds; a thousand writes a second need this.
    """

    def __init__(self, engine: Engine, name: str, *, write: bool) -> None:
        self._engine = engine.execution_options(write=write)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store-{name}")
        self._connection: Connection | None = None
        self._waiting: deque[tuple[Callable[[Connection], Any], Future[Any]]] = deque()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """One transaction. Raises StoreError; after its deadline, whether the work was done is unknown."""
        done: Future[T] = Future()
        self._waiting.append((work, done))
        self._thread.submit(self._next)
        future = asyncio.wrap_future(done)
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
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                if len(works) == 1:
                    return [works[0](self._connection)]
                return [_apart(self._connection, work) for work in works]
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

    async def close(self) -> None:
        """Let go of threads and connections."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.close()
        self._reader.close()
        self.engine.dispose()
