"""Jobs that train on several instances.

Revision: 0002
Follows: 0001
Made: 2026-11-25 20:40:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_instances",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("instance_id", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_job_instances_instance_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_instances_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_job_instances")),
    )
    op.create_index(op.f("ix_job_instances_instance_id"), "job_instances", ["instance_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_job_instances_instance_id"), table_name="job_instances")
    op.drop_table("job_instances")
