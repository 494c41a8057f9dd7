"""The switch that pauses everything: one row while it is on, none while it is off."""

from sqlalchemy import Connection, delete, insert, select

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import switches as table
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.standing import PausedAll

PAUSED = "paused"


class SqlSwitches:
    """Switches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def paused(self) -> PausedAll | None:
        """Who paused everything; None while the switch is off."""
        query = select(table.c.version, table.c.document).where(table.c.name == PAUSED)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return documents.value(Kind.SWITCH, PausedAll, row.version, row.document) if row is not None else None

    async def pause(self, paused: PausedAll | None) -> None:
        """Turn it on, or (None) off."""

        def work(connection: Connection) -> None:
            connection.execute(delete(table).where(table.c.name == PAUSED))
            if paused is not None:
                connection.execute(insert(table), {"name": PAUSED, **documents.columns(paused)})

        await self._database.write(work)
