"""Open the state: the tables are brought up to date, and what the reserve holds is folded in."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tidegate.adapters.store.access import SqlAccess
from tidegate.adapters.store.audit import SqlAudit
from tidegate.adapters.store.database import Database, connect
from tidegate.adapters.store.deliveries import SqlDeliveries
from tidegate.adapters.store.fleets import SqlFleets
from tidegate.adapters.store.folding import fold
from tidegate.adapters.store.journal import SqlJournal
from tidegate.adapters.store.lease import SqlLease
from tidegate.adapters.store.location import file_of, locate
from tidegate.adapters.store.migrate import migrate
from tidegate.adapters.store.orders import SqlOrders
from tidegate.adapters.store.outbox import SqlOutbox
from tidegate.adapters.store.pulses import SqlPulses
from tidegate.adapters.store.records import SqlRecords
from tidegate.adapters.store.reserve import Reserve
from tidegate.adapters.store.store import SqlStore
from tidegate.adapters.store.switches import SqlSwitches
from tidegate.model.errors import StoreError


@dataclass(frozen=True)
class State:
    """The ports of one database. Close the state when done. `lease` is that over every environment at once."""

    store: SqlStore
    journal: SqlJournal
    lease: SqlLease
    pulses: SqlPulses
    records: SqlRecords
    orders: SqlOrders
    switches: SqlSwitches
    outbox: SqlOutbox
    fleets: SqlFleets
    audit: SqlAudit
    access: SqlAccess
    deliveries: SqlDeliveries
    database: Database
    reserve: Reserve

    def lease_of(self, environment: str) -> SqlLease:
        """Who decides in one environment."""
        return SqlLease(self.database, self.reserve, environment)

    async def compact(self) -> bool:
        """Give the room of what was forgotten back to the disk; False where that is not possible now."""
        return await self.database.compact()

    async def close(self) -> None:
        """Let go of threads and connections."""
        await self.database.close()


async def open_state(location: str | None = None) -> State:
    """Open (and make, where there is none) the state at a file's path or database URL; default: $TIDEGATE_STATE.

    Raises StoreError for a place that cannot be used, a damaged file, or the state of a newer Tidegate.
    """
    return await asyncio.to_thread(_open, location or locate())


def _open(location: str) -> State:
    file = file_of(location)
    engine = connect(location)
    try:
        migrate(engine, file)
    except BaseException:
        engine.dispose()
        raise
    reserve = Reserve(_reserve_of(file))
    # A full or read-only disk must not keep anybody from reading; whoever needs the reserve is told then.
    with suppress(StoreError):
        reserve.prepare()
    with suppress(StoreError, SQLAlchemyError):
        if reserve.records():
            with engine.execution_options(write=True).begin() as connection:
                folded = fold(connection, reserve)
            reserve.empty(folded)
    database = Database(engine)
    lease = SqlLease(database, reserve)
    return State(
        SqlStore(database, reserve),
        SqlJournal(database),
        lease,
        SqlPulses(database),
        SqlRecords(database),
        SqlOrders(database),
        SqlSwitches(database),
        SqlOutbox(database),
        SqlFleets(database, reserve),
        SqlAudit(database),
        SqlAccess(database),
        SqlDeliveries(database, reserve),
        database,
        reserve,
    )


def _reserve_of(file: Path | None) -> Path:
    """Beside the file; for a database server in the user's state folder, on this machine's disk."""
    if file is not None:
        return file.with_name(f"{file.name}.reserve")
    return Path(locate({**os.environ, "TIDEGATE_STATE": ""})).with_name("server.reserve")
