"""Jobs ask for a device; workers say which queues they serve and which GPUs they give away.

Revision: 0009
Follows: 0008
Made: 2026-11-26 06:50:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("device", sa.String(length=63), nullable=False, server_default="auto"))
    op.add_column("workers", sa.Column("queues", sa.JSON(), nullable=False, server_default='["cpu"]'))
    op.add_column("workers", sa.Column("gpus", sa.JSON(), nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("workers", "gpus")
    op.drop_column("workers", "queues")
    op.drop_column("jobs", "device")
