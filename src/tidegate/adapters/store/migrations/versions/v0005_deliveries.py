"""Deliveries, and the evidence of their stages."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "deliveries",
        *_texts("agent", "environment"),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("release", sa.Text, nullable=False, server_default=""),
        sa.Column("cancelled_by", sa.Text, nullable=False, server_default=""),
        *_document(),
        sa.PrimaryKeyConstraint("agent", "environment", "number"),
    )
    op.create_index("deliveries_open", "deliveries", ["open", "environment"])
    op.create_index("deliveries_of_release", "deliveries", ["agent", "release"])
    op.create_table(
        "evidence",
        *_texts("agent", "stage", "key"),
        *_document(),
        sa.PrimaryKeyConstraint("agent", "stage", "key"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _document() -> tuple[sa.Column[int], sa.Column[str]]:
    return sa.Column("version", sa.Integer, nullable=False), sa.Column("document", sa.Text, nullable=False)
