"""The audit log in one table and a row for its head: added to in the transaction of what it tells about."""

import json

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import audit, audit_head
from tidegate.model import codec
from tidegate.model.audit import Act, Entry, Head, link

HEAD = "head"


class SqlAudit:
    """Audit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, act: Act) -> None:
        """Add an entry; on the disk when this returns."""
        await self._database.write(lambda connection: add_act(connection, act))

    async def entries(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries with a higher sequence number, oldest first."""
        query = select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Entry(row.seq, row.document, row.previous, row.hash) for row in rows]

    async def head(self) -> Head:
        """The last entry's number and hash."""
        query = select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.name == HEAD)
        row = await self._database.read(lambda connection: connection.execute(query).one())
        return Head(row.seq, row.hash)


def add_act(connection: Connection, act: Act) -> None:
    """Add an entry within a transaction. On a server the head's row stays locked until it ends."""
    query = select(audit_head.c.seq, audit_head.c.hash).where(audit_head.c.name == HEAD).with_for_update()
    head = connection.execute(query).one()
    sequence = head.seq + 1
    document = json.dumps(codec.dump(act), separators=(",", ":"))
    following = link(head.hash, sequence, document)
    row = {"seq": sequence, "document": document, "previous": head.hash, "hash": following}
    connection.execute(insert(audit), row)
    connection.execute(update(audit_head).where(audit_head.c.name == HEAD).values(seq=sequence, hash=following))
