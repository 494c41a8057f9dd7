"""The latest pulse of each instance, in batches: one transaction for all that were heard since the last one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import listening as listening_table
from tidegate.adapters.store.tables import pulses as table
from tidegate.adapters.store.upgrades import Kind
from tidegate.adapters.store.upserts import upsert
from tidegate.model.heartbeat import Listening, Pulse
from tidegate.model.release import AgentKey

AGENTS = "agents"
CHUNK = 5000
"""Rows a statement: the database limits how many values one may name."""


class SqlPulses:
    """Pulses."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_pulses(self, pulses: Sequence[Pulse], listening: Listening) -> None:
        """Keep the latest of each instance, and whether somebody listens."""
        rows = [_row(pulse) for pulse in pulses]
        heard = {"since": listening.since, "at": listening.at}

        def work(connection: Connection) -> None:
            for start in range(0, len(rows), CHUNK):
                upsert(connection, table, rows[start : start + CHUNK])
            connection.execute(update(listening_table).where(listening_table.c.name == AGENTS).values(heard))

        await self._database.note(work)

    async def pulses(self, key: AgentKey | None) -> list[Pulse]:
        """The latest pulse of each instance, by name; of every agent when `key` is None."""
        query = select(table.c.version, table.c.document)
        query = query.order_by(table.c.agent, table.c.environment, table.c.instance)
        if key is not None:
            query = query.filter_by(agent=key.agent, environment=key.environment)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.PULSE, Pulse, row.version, row.document) for row in rows]

    async def reporting(self) -> tuple[AgentKey, ...]:
        """Every agent in every environment of which an instance reported, sorted."""
        query = select(table.c.agent, table.c.environment).distinct().order_by(table.c.agent, table.c.environment)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return tuple(AgentKey(row.agent, row.environment) for row in rows)

    async def last_listening(self) -> Listening:
        """As saved last; nobody listens (at 0) where nothing was ever saved."""
        query = select(listening_table.c.since, listening_table.c.at).where(listening_table.c.name == AGENTS)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return Listening(row.since, row.at) if row is not None else Listening(None, 0.0)

    async def forget_pulses(self, before: float) -> None:
        """Drop the pulses of instances last heard before a time (unix seconds)."""
        await self._database.write(lambda connection: connection.execute(delete(table).where(table.c.last_at < before)))


def _row(pulse: Pulse) -> dict[str, Any]:
    name = {"agent": pulse.key.agent, "environment": pulse.key.environment, "instance": pulse.instance}
    return {**name, "last_at": pulse.last_at, **documents.columns(pulse)}
