"""What agents say of themselves, the configuration files that they run with, and what they are asked to do."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INSTANCE = ("agent", "environment", "instance")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "records",
        *_texts(*INSTANCE),
        *_document(),
        sa.PrimaryKeyConstraint(*INSTANCE),
    )
    op.create_table(
        "contents",
        *_texts(*INSTANCE, "digest"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint(*INSTANCE, "digest"),
    )
    op.create_table(
        "orders",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("open", sa.Boolean, nullable=False),
        *_document(),
    )
    op.create_index("orders_open", "orders", ["open"])
    op.create_table(
        "runs",
        *_texts("order_id"),
        sa.Column("due", sa.Float, nullable=False),
        *_texts(*INSTANCE),
        *_document(),
        sa.PrimaryKeyConstraint("order_id", "due", *INSTANCE),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _document() -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("version", sa.Integer, nullable=False), sa.Column("document", sa.Text, nullable=False)
