"""What was sent where, so that several machines send nothing twice; no cursors, which each mirror keeps.

Nothing ever wrote to the former tables `cursors` and `sent`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Remove `cursors`, make `sent` anew, make `tracking`."""
    op.drop_table("cursors")
    op.drop_table("sent")
    op.create_table(
        "sent",
        sa.Column("destination", sa.Text, primary_key=True),
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("sop_instance_uid", "digest", "predecessor", "sent_by", "sent_at")
        ),
        sa.Column("claimed_until", sa.Double, nullable=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tracking",
        sa.Column("lesion_id", sa.Text, primary_key=True),
        sa.Column("tracking_uid", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
