"""Replays: what a planner's own decision cost beside the recommended one.

Revision: 0007
Follows: 0006
Made: 2026-11-26 03:40:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recommendations", sa.Column("replay", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("recommendations", "replay")
