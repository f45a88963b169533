"""Scenario sets: the planner's own scenarios.

Revision: 0005
Follows: 0004
Made: 2026-11-26 03:20:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scenario_sets",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("instance_id", sa.String(length=30), nullable=False),
        sa.Column("problem", sa.String(length=63), nullable=False),
        sa.Column("scenarios", sa.Integer(), nullable=False),
        sa.Column("stages", sa.Integer(), nullable=False),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.Column("quantity", sa.String(length=63), nullable=False),
        sa.Column("unit", sa.String(length=63), nullable=False),
        sa.Column("stage_word", sa.String(length=63), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_scenario_sets_instance_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scenario_sets")),
    )
    op.create_index(op.f("ix_scenario_sets_instance_id"), "scenario_sets", ["instance_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_scenario_sets_instance_id"), table_name="scenario_sets")
    op.drop_table("scenario_sets")
