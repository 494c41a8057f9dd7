"""What is read back for people and for replay: events, measurement blocks, releases, revisions."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.database import Database, Latest
from tidegate.adapters.store.packing import pack, unpack
from tidegate.adapters.store.rows import event_row, key_columns, write_release
from tidegate.adapters.store.tables import blocks as blocks_table
from tidegate.adapters.store.tables import events as events_table
from tidegate.adapters.store.tables import releases as releases_table
from tidegate.adapters.store.tables import revisions as revisions_table
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.errors import ConflictError, StoreError
from tidegate.model.event import Event
from tidegate.model.observation import Block
from tidegate.model.release import AgentKey, Release, Revision

BATCH = 120
"""Blocks a row: two minutes at 1 Hz, packed in 10 ms. Smaller batches are added to the last row until it is full."""

PREFIX = 4
"""The shortest prefix of a release's id that names it."""


class SqlJournal:
    """Journal."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[AgentKey | None, Latest[list[tuple[int, Event]]]] = {}

    async def append(self, events: Sequence[Event]) -> None:
        """Add to the event log."""
        rows = [event_row(event) for event in events]
        if rows:
            await self._database.write(lambda connection: connection.execute(insert(events_table), rows))

    async def events(self, key: AgentKey | None, after: int = 0, limit: int = 1000) -> list[tuple[int, Event]]:
        """Events with their sequence numbers, oldest first; of every agent when `key` is None.

        Cheap to ask again and again while nothing happens.
        """
        latest = self._read.setdefault(key, Latest(self._database))
        return list(await latest.get((after, limit), lambda: self._read_events(key, after, limit)))

    async def _read_events(self, key: AgentKey | None, after: int, limit: int) -> list[tuple[int, Event]]:
        table = events_table.c
        query = select(table.seq, table.version, table.document).where(table.seq > after).order_by(table.seq)
        if key is not None:
            query = query.filter_by(**key_columns(key))
        rows = await self._database.read(lambda connection: connection.execute(query.limit(limit)).all())
        return [(row.seq, documents.value(Kind.EVENT, Event, row.version, row.document)) for row in rows]

    async def add_blocks(self, key: AgentKey, blocks: Sequence[Block]) -> None:
        """Keep measurement blocks for replay, in the order of their ends."""
        if blocks:
            await self._database.note(lambda connection: _add_blocks(connection, key, list(blocks)))

    async def blocks(self, key: AgentKey, since: float, until: float) -> list[Block]:
        """Measurement blocks that ended within the span (unix seconds, both ends included)."""
        table = blocks_table.c
        query = select(table.payload).where(table.last_at >= since, table.first_at <= until)
        query = query.filter_by(**key_columns(key)).order_by(table.seq)
        payloads = await self._database.read(lambda connection: connection.execute(query).scalars().all())
        return [block for payload in payloads for block in _unpack(payload) if since <= block.at <= until]

    async def trim(self, key: AgentKey, before: float) -> int:
        """Forget blocks that ended before a time (unix seconds), whole rows at a time; how many. Events never go."""
        return await self._database.write(lambda connection: _trim(connection, key, before))

    async def add_release(self, release: Release) -> None:
        """Keep a release; the same one twice is harmless."""
        await self._database.write(lambda connection: write_release(connection, release))

    async def find_release(self, agent: str, name: str) -> Release | None:
        """A release by id, by version (the latest of that version), or by an unambiguous prefix of the id.

        Raises ConflictError for a prefix of several.
        """
        table = releases_table.c
        query = select(table.id, table.release_version, table.version, table.document)
        query = query.where(table.agent == agent).order_by(table.seq)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        found = [row for row in rows if row.id == name] or [row for row in rows if row.release_version == name][-1:]
        if not found and len(name) >= PREFIX:
            found = [row for row in rows if row.id.startswith(name)]
        if len(found) > 1:
            several = ", ".join(f"{row.id} ({row.release_version})" for row in found)
            raise ConflictError(f"{name} is the beginning of several releases of {agent}: {several}")
        return documents.value(Kind.RELEASE, Release, found[0].version, found[0].document) if found else None

    async def releases(self, agent: str) -> list[Release]:
        """All releases of an agent, oldest first."""
        table = releases_table.c
        query = select(table.version, table.document).where(table.agent == agent).order_by(table.seq)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.RELEASE, Release, row.version, row.document) for row in rows]

    async def revisions(self, key: AgentKey) -> list[Revision]:
        """Every revision that was ever decided, oldest first."""
        table = revisions_table.c
        query = select(table.version, table.document).filter_by(**key_columns(key)).order_by(table.number)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [documents.value(Kind.REVISION, Revision, row.version, row.document) for row in rows]


def _add_blocks(connection: Connection, key: AgentKey, blocks: list[Block]) -> None:
    table = blocks_table.c
    last = select(table.seq, table.entries, table.payload).filter_by(**key_columns(key))
    row = connection.execute(last.order_by(table.seq.desc()).limit(1)).one_or_none()
    seq = None
    if row is not None and row.entries < BATCH:
        seq, blocks = row.seq, _unpack(row.payload) + blocks
    for start in range(0, len(blocks), BATCH):
        part = blocks[start : start + BATCH]
        ends = [block.at for block in part]
        values = {"first_at": min(ends), "last_at": max(ends), "entries": len(part), "payload": pack(part)}
        if seq is not None:
            connection.execute(update(blocks_table).where(table.seq == seq).values(values))
            seq = None
        else:
            connection.execute(insert(blocks_table), {**key_columns(key), **values})


def _trim(connection: Connection, key: AgentKey, before: float) -> int:
    old = [blocks_table.c[name] == value for name, value in key_columns(key).items()]
    old.append(blocks_table.c.last_at < before)
    entries = connection.execute(select(blocks_table.c.entries).where(*old)).scalars().all()
    connection.execute(delete(blocks_table).where(*old))
    return sum(entries)


def _unpack(payload: bytes) -> list[Block]:
    try:
        return unpack(payload)
    except ValueError as error:
        raise StoreError(str(error), hint="replay goes on without them; restore a backup to have them again") from error
