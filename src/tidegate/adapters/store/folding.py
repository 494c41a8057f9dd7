"""Bring what is in the reserve into the tables, once and in its order, before anything newer is written there."""

from sqlalchemy import Connection, insert, select

from tidegate.adapters.store import rows
from tidegate.adapters.store.reserve import Record, Reserve
from tidegate.adapters.store.tables import events, folded, lease

LEASE = "controller"


def epoch_in_force(connection: Connection) -> int:
    """The lease's epoch (0: nobody ever held it). On a server the row stays locked until the transaction ends."""
    query = select(lease.c.epoch).where(lease.c.name == LEASE).with_for_update()
    return int(connection.execute(query).scalar_one())


def fold(connection: Connection, reserve: Reserve) -> list[int]:
    """Write the reserve's records; the caller empties their slots after the commit. Twice is harmless.

    A record of an epoch that is over keeps its events, but no longer its state: another controller has decided since.
    """
    records = reserve.records()
    epoch = epoch_in_force(connection) if records else 0
    for record in records:
        if connection.execute(select(folded.c.record).where(folded.c.record == record.id)).first() is None:
            _write(connection, record, epoch)
            connection.execute(insert(folded).values(record=record.id))
    return [record.number for record in records]


def _write(connection: Connection, record: Record, epoch: int) -> None:
    decision = rows.Rows(**record.content["rows"])
    if record.content["epoch"] >= epoch:
        rows.write(connection, decision)
    elif decision.events:
        connection.execute(insert(events), decision.events)
