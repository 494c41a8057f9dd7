"""Bring what is in the reserve into the tables, once and in its order, before anything newer is written there."""

from sqlalchemy import Connection, insert, select

from tidegate.adapters.store import rows
from tidegate.adapters.store.reserve import Record, Reserve
from tidegate.adapters.store.tables import events, folded, lease

EVERYWHERE = "controller"
"""The lease over every environment that never had one of its own: that of a Tidegate which knew one for a state."""


def lease_name(environment: str) -> str:
    """The row of an environment's lease; that over all of them where none is named."""
    return f"environment/{environment}" if environment else EVERYWHERE


def epoch_in_force(connection: Connection, environment: str) -> int:
    """The epoch of the lease over an environment (0: nobody ever held it).

    On a server the row over everything stays locked until the transaction ends.
    """
    own = lease_name(environment)
    query = select(lease.c.name, lease.c.epoch).where(lease.c.name.in_((EVERYWHERE, own))).with_for_update()
    epochs = {row.name: int(row.epoch) for row in connection.execute(query)}
    return epochs.get(own, epochs[EVERYWHERE])


def fold(connection: Connection, reserve: Reserve) -> list[int]:
    """Write the reserve's records; the caller empties their slots after the commit. Twice is harmless.

    A record of an epoch that is over keeps its events, but no longer its state: another controller has decided since.
    """
    records = reserve.records()
    for record in records:
        if connection.execute(select(folded.c.record).where(folded.c.record == record.id)).first() is None:
            _write(connection, record)
            connection.execute(insert(folded).values(record=record.id))
    return [record.number for record in records]


def _write(connection: Connection, record: Record) -> None:
    decision = rows.Rows(**record.content["rows"])
    if record.content["epoch"] >= epoch_in_force(connection, decision.state["environment"]):
        rows.write(connection, decision)
    elif decision.events:
        connection.execute(insert(events), decision.events)
