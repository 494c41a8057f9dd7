"""How far each receiver of notices has been told: the sequence number of the last event that is done with."""

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import outbox as table


class SqlOutbox:
    """Outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def position(self, receiver: str) -> int | None:
        """The last event that it was told, or None when it was never told anything."""
        query = select(table.c.position).where(table.c.receiver == receiver)
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def advance(self, receiver: str, position: int) -> None:
        """It was told up to here. Never backwards: of two controllers that overlap, the one that is further counts."""

        def work(connection: Connection) -> None:
            mine = table.c.receiver == receiver
            known = connection.execute(select(table.c.position).where(mine)).scalar()
            if known is None:
                connection.execute(insert(table), {"receiver": receiver, "position": position})
            elif known < position:
                connection.execute(update(table).where(mine, table.c.position < position).values(position=position))

        await self._database.write(work)
