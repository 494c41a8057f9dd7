"""The switch for everything, and how far each receiver of notices has been told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "switches",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("receiver", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
