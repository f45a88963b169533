"""Lists stay quick when they are long: what was made of a recommendation in a word, and the indexes that pages need.

Revision: 0011
Follows: 0010
Made: 2026-11-26 07:05:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FEW = sa.text("type IN ('state', 'incumbent', 'end')")


def upgrade() -> None:
    judgement = sa.Column("judgement", sa.String(63), nullable=False, server_default="pending")
    op.add_column("recommendations", judgement)
    op.execute("UPDATE recommendations SET judgement = outcome ->> 'outcome' WHERE outcome_at IS NOT NULL")
    op.create_index("ix_recommendations_judgement_id", "recommendations", ["judgement", "id"])
    op.create_index("ix_recommendations_policy_id_judgement_id", "recommendations", ["policy_id", "judgement", "id"])
    columns = ["job_id", "type", "seq"]
    op.create_index("ix_job_events_milestones", "job_events", columns, sqlite_where=FEW, postgresql_where=FEW)


def downgrade() -> None:
    op.drop_index("ix_job_events_milestones", "job_events")
    op.drop_index("ix_recommendations_policy_id_judgement_id", "recommendations")
    op.drop_index("ix_recommendations_judgement_id", "recommendations")
    op.drop_column("recommendations", "judgement")
