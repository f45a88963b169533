"""Acceptance tests and their verdicts.

Revision: 0006
Follows: 0005
Made: 2026-11-26 03:30:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acceptance_tests",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("policy_name", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("instance_id", sa.String(length=30), nullable=False),
        sa.Column("scenario_set_id", sa.String(length=30), nullable=True),
        sa.Column("scenarios", sa.Integer(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("policies", sa.JSON(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("largest_cost_increase", sa.Double(), nullable=False),
        sa.Column("least_service", sa.JSON(), nullable=False),
        sa.Column("guards", sa.JSON(), nullable=False),
        sa.Column("time_limit_seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_acceptance_tests_instance_id")),
        sa.ForeignKeyConstraint(
            ["scenario_set_id"], ["scenario_sets.id"], name=op.f("fk_acceptance_tests_scenario_set_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptance_tests")),
        sa.UniqueConstraint("policy_name", "name", name=op.f("uq_acceptance_tests_policy_name_name")),
    )
    op.create_index(op.f("ix_acceptance_tests_instance_id"), "acceptance_tests", ["instance_id"])
    op.create_index(op.f("ix_acceptance_tests_scenario_set_id"), "acceptance_tests", ["scenario_set_id"])
    op.create_table(
        "acceptance_verdicts",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("test_id", sa.String(length=30), nullable=False),
        sa.Column("policy_id", sa.String(length=30), nullable=False),
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("evaluation_id", sa.String(length=30), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("scenarios", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["test_id"], ["acceptance_tests.id"], name=op.f("fk_acceptance_verdicts_test_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["policy_id"], ["policies.id"], name=op.f("fk_acceptance_verdicts_policy_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_acceptance_verdicts_evaluation_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acceptance_verdicts")),
    )
    op.create_index(op.f("ix_acceptance_verdicts_policy_id"), "acceptance_verdicts", ["policy_id"])
    op.create_index(op.f("ix_acceptance_verdicts_test_id_policy_id"), "acceptance_verdicts", ["test_id", "policy_id"])


def downgrade() -> None:
    op.drop_table("acceptance_verdicts")
    op.drop_table("acceptance_tests")
