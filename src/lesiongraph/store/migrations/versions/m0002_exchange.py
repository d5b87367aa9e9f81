"""How far each source was read, and what was sent where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables `cursors` and `sent`."""
    op.create_table(
        "cursors",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )
    op.create_table(
        "sent",
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("sop_instance_uid", sa.Text, primary_key=True),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("sent_at", sa.Text, nullable=False),
    )
