"""What agents say of themselves, and the configuration files that they run with."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

INSTANCE = ("agent", "environment", "instance")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "records",
        *_texts(*INSTANCE),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(*INSTANCE),
    )
    op.create_table(
        "contents",
        *_texts(*INSTANCE, "digest"),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint(*INSTANCE, "digest"),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]
