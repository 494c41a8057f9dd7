"""Fleets: a table of their states, and a host in the key of everything that belongs to one host."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = ("agent", "environment")
WIDENED = (
    ("events", "events_of_key", (*KEY, "host", "seq")),
    ("intents", "intents_open", ("answered", *KEY, "host")),
    ("blocks", "blocks_of_key", (*KEY, "host", "last_at")),
)


def upgrade() -> None:
    """Add the column. A primary key cannot be changed everywhere, so states and revisions are made anew."""
    for table, index, columns in WIDENED:
        op.add_column(table, _host())
        op.drop_index(index, table)
        op.create_index(index, table, list(columns))
    _widen("states", ())
    _widen("revisions", ("number",))
    op.create_table("fleets", *_texts(*KEY), *_document(), sa.PrimaryKeyConstraint(*KEY))


def _widen(table: str, more: tuple[str, ...]) -> None:
    numbers = [sa.Column(name, sa.Integer, nullable=False) for name in more]
    key = (*KEY, "host", *more)
    wide = f"{table}_wide"
    op.create_table(wide, *_texts(*KEY), _host(), *numbers, *_document(), sa.PrimaryKeyConstraint(*key))
    copied = ", ".join((*KEY, *more, "version", "document"))
    op.execute(f"INSERT INTO {wide} ({copied}) SELECT {copied} FROM {table}")  # noqa: S608 - names of our own
    op.drop_table(table)
    op.rename_table(wide, table)


def _host() -> sa.Column[str]:
    return sa.Column("host", sa.Text, nullable=False, server_default="")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _document() -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("version", sa.Integer, nullable=False), sa.Column("document", sa.Text, nullable=False)
