"""What agents are asked to do: a row an order, a row for each instance and due time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import orders as table
from tidegate.adapters.store.tables import runs as runs_table
from tidegate.adapters.store.upgrades import Kind
from tidegate.adapters.store.upserts import upsert
from tidegate.model.order import Order, Run

CHUNK = 5000


class SqlOrders:
    """OrderBook."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_order(self, order: Order) -> None:
        """Keep an order; the same one twice is harmless."""

        def work(connection: Connection) -> None:
            if _find(connection, order.id) is None:
                row = {"id": order.id, "open": order.ended_at is None, **documents.columns(order)}
                connection.execute(insert(table), row)

        await self._database.write(work)

    async def end_order(self, order: str, at: float) -> bool:
        """It is over, or taken back (unix seconds); False when it was before, or there is none."""

        def work(connection: Connection) -> bool:
            found = _find(connection, order)
            if found is None or found.ended_at is not None:
                return False
            values = {"open": False, **documents.columns(replace(found, ended_at=at))}
            connection.execute(update(table).where(table.c.id == order).values(values))
            return True

        return await self._database.write(work)

    async def open_orders(self) -> list[Order]:
        """Orders that are not over, oldest first."""
        query = select(table.c.version, table.c.document).where(table.c.open.is_(True)).order_by(table.c.seq)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_order(row) for row in rows]

    async def orders(self, limit: int = 100) -> list[Order]:
        """The newest orders, oldest first, those that are over included."""
        query = select(table.c.version, table.c.document).order_by(table.c.seq.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_order(row) for row in reversed(rows)]

    async def runs(self, order: str) -> list[Run]:
        """What became of an order, by due time and instance."""
        columns = runs_table.c
        query = select(columns.version, columns.document).where(columns.order_id == order)
        query = query.order_by(columns.due, columns.agent, columns.environment, columns.instance)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.RUN, Run, row.version, row.document) for row in rows]

    async def save_runs(self, runs: Sequence[Run]) -> None:
        """Keep runs in place of what was known of them, in one transaction."""
        rows = [_row(run) for run in runs]

        def work(connection: Connection) -> None:
            for start in range(0, len(rows), CHUNK):
                upsert(connection, runs_table, rows[start : start + CHUNK])

        if rows:
            await self._database.write(work)


def _find(connection: Connection, order: str) -> Order | None:
    query = select(table.c.version, table.c.document).where(table.c.id == order)
    row = connection.execute(query).one_or_none()
    return _order(row) if row is not None else None


def _order(row: Any) -> Order:
    return documents.value(Kind.ORDER, Order, row.version, row.document)


def _row(run: Run) -> dict[str, Any]:
    place = {"agent": run.key.agent, "environment": run.key.environment, "instance": run.instance}
    return {"order_id": run.order, "due": run.due, **place, **documents.columns(run)}
