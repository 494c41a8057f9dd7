"""What agents report: the latest pulse of each instance, and whether somebody listens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pulses",
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("agent", "environment", "instance"),
    )
    listening = op.create_table(
        "listening",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("since", sa.Float, nullable=True),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.bulk_insert(listening, [{"name": "agents", "since": None, "at": 0.0}])
