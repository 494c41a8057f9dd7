"""Tokens of the API, by their digests."""

from dataclasses import replace

from sqlalchemy import Connection, insert, select, update

from tidegate.adapters.store import documents
from tidegate.adapters.store.audit import add_act
from tidegate.adapters.store.database import Database
from tidegate.adapters.store.tables import tokens as table
from tidegate.adapters.store.upgrades import Kind
from tidegate.model.access import AccessToken
from tidegate.model.audit import Act
from tidegate.model.errors import ConflictError


class SqlAccess:
    """Access."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token: AccessToken, act: Act) -> None:
        """Keep a new one. Raises ConflictError when a token that is in force has its name."""

        def work(connection: Connection) -> None:
            if any(one.name == token.name and one.holds(token.created_at) for one in _all(connection)):
                raise ConflictError(f"there is a token {token.name} already", hint="revoke it, or take another name")
            if _find(connection, token.id) is not None:
                raise ConflictError(f"there is a token with the id {token.id} already")
            connection.execute(insert(table), {"id": token.id, **documents.columns(token)})
            add_act(connection, act)

        await self._database.write(work)

    async def tokens(self) -> list[AccessToken]:
        """Every token that was ever made, oldest first."""
        found = await self._database.read(_all)
        return sorted(found, key=lambda token: token.created_at)

    async def find(self, identity: str) -> AccessToken | None:
        """A token by its public id."""
        return await self._database.read(lambda connection: _find(connection, identity))

    async def revoke(self, identity: str, act: Act) -> bool:
        """From now on it is refused; False when there is none, or when it was revoked before."""

        def work(connection: Connection) -> bool:
            token = _find(connection, identity)
            if token is None or token.revoked_at is not None:
                return False
            values = documents.columns(replace(token, revoked_at=act.at))
            connection.execute(update(table).where(table.c.id == identity).values(values))
            add_act(connection, act)
            return True

        return await self._database.write(work)


def _all(connection: Connection) -> list[AccessToken]:
    rows = connection.execute(select(table.c.version, table.c.document)).all()
    return [documents.value(Kind.ACCESS, AccessToken, row.version, row.document) for row in rows]


def _find(connection: Connection, identity: str) -> AccessToken | None:
    query = select(table.c.version, table.c.document).where(table.c.id == identity)
    row = connection.execute(query).one_or_none()
    return documents.value(Kind.ACCESS, AccessToken, row.version, row.document) if row is not None else None
