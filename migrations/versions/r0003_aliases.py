"""Aliases: which version of a policy is in use for what.

Revision: 0003
Follows: 0002
Made: 2026-11-26 02:55:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "aliases",
        sa.Column("policy_name", sa.String(length=63), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.Column("policy_id", sa.String(length=30), nullable=False),
        sa.Column("etag", sa.String(length=30), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("fk_aliases_policy_id")),
        sa.PrimaryKeyConstraint("policy_name", "alias", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_policy_id"), "aliases", ["policy_id"])
    # The latest recommendation of a policy is looked for by id; the wider index serves what the narrow one did.
    op.create_index(op.f("ix_recommendations_policy_id_id"), "recommendations", ["policy_id", "id"])
    op.drop_index(op.f("ix_recommendations_policy_id"), table_name="recommendations")


def downgrade() -> None:
    op.create_index(op.f("ix_recommendations_policy_id"), "recommendations", ["policy_id"])
    op.drop_index(op.f("ix_recommendations_policy_id_id"), table_name="recommendations")
    op.drop_index(op.f("ix_aliases_policy_id"), table_name="aliases")
    op.drop_table("aliases")
