"""The first tables; the event log refuses changes by triggers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _document() -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("version", sa.Integer, nullable=False), sa.Column("document", sa.Text, nullable=False)


def _key() -> tuple[sa.Column[str], sa.Column[str]]:
    return sa.Column("agent", sa.Text, nullable=False), sa.Column("environment", sa.Text, nullable=False)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table("states", *_key(), *_document(), sa.PrimaryKeyConstraint("agent", "environment"))
    op.create_table(
        "events",
        _seq(),
        *_key(),
        *_document(),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_key", "events", ["agent", "environment", "seq"])
    op.create_table(
        "intents",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *_key(),
        *_document(),
        sa.Column("answered", sa.Boolean, nullable=False),
    )
    op.create_index("intents_open", "intents", ["answered", "agent", "environment"])
    op.create_table("answers", sa.Column("intent", sa.Text, primary_key=True), *_document())
    op.create_table("folded", sa.Column("record", sa.Text, primary_key=True))
    lease = op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
    )
    op.create_table(
        "blocks",
        _seq(),
        *_key(),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
    op.create_index("blocks_of_key", "blocks", ["agent", "environment", "last_at"])
    op.create_table(
        "releases",
        _seq(),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("release_version", sa.Text, nullable=False),
        *_document(),
        sa.UniqueConstraint("agent", "id"),
    )
    op.create_table(
        "revisions",
        *_key(),
        sa.Column("number", sa.Integer, nullable=False),
        *_document(),
        sa.PrimaryKeyConstraint("agent", "environment", "number"),
    )
    op.bulk_insert(lease, [{"name": "controller", "holder": "", "epoch": 0, "expires_at": 0.0}])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER events_keep BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events never change'); END",
        "CREATE TRIGGER events_stay BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events never go'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'events never change and never go'; END $$",
        "CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events "
        "FOR EACH ROW EXECUTE FUNCTION events_append_only()",
        "CREATE TRIGGER events_not_emptied BEFORE TRUNCATE ON events "
        "FOR EACH STATEMENT EXECUTE FUNCTION events_append_only()",
    ),
}
