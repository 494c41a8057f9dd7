"""What agents say of themselves: a row an instance, in batches, and the files of their configuration."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import contents as contents_table
from tidegate.adapters.store.tables import records as table
from tidegate.adapters.store.upgrades import Kind
from tidegate.adapters.store.upserts import upsert
from tidegate.model.record import AgentRecord
from tidegate.model.release import AgentKey
from tidegate.ports import Contents

CHUNK = 5000
"""Rows a statement: the database limits how many values one may name."""


class SqlRecords:
    """AgentRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_records(self, records: Sequence[AgentRecord], contents: Contents) -> None:
        """Keep them in place of former ones, and their configuration files in place of theirs."""
        rows = [{**_named(record.key, record.instance), **documents.columns(record)} for record in records]

        def work(connection: Connection) -> None:
            for start in range(0, len(rows), CHUNK):
                upsert(connection, table, rows[start : start + CHUNK])
            for name, files in contents.items():
                connection.execute(delete(contents_table).filter_by(**_named(*name)))
                upsert(
                    connection, contents_table, [{**_named(*name), "digest": d, "body": b} for d, b in files.items()]
                )

        await self._database.write(work)

    async def records(self, key: AgentKey | None) -> list[AgentRecord]:
        """The record of each instance, by name; of every agent when `key` is None."""
        query = select(table.c.version, table.c.document)
        query = query.order_by(table.c.agent, table.c.environment, table.c.instance)
        if key is not None:
            query = query.filter_by(agent=key.agent, environment=key.environment)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.RECORD, AgentRecord, row.version, row.document) for row in rows]

    async def content(self, key: AgentKey, instance: str, digest: str) -> bytes | None:
        """A file of the configuration that an instance runs with, by its SHA-256 (hexadecimal)."""
        query = select(contents_table.c.body).filter_by(**_named(key, instance), digest=digest)
        found: bytes | None = await self._database.read(lambda connection: connection.execute(query).scalar())
        return found

    async def drop_records(self, names: Collection[tuple[AgentKey, str]]) -> None:
        """Forget instances."""

        def work(connection: Connection) -> None:
            for name in names:
                for each in (table, contents_table):
                    connection.execute(delete(each).filter_by(**_named(*name)))

        if names:
            await self._database.write(work)


def _named(key: AgentKey, instance: str) -> dict[str, Any]:
    return {"agent": key.agent, "environment": key.environment, "instance": instance}
