"""The audit log, who asked for a recommendation, and keys that can be rotated and limited.

The database itself keeps the log as it was written: no row changes, and none younger than 30 days goes.

Revision: 0008
Follows: 0007
Made: 2026-11-26 06:20:00
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SQLITE = (
    """CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE ON audit_log
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_log_keeps_young_rows BEFORE DELETE ON audit_log
    WHEN OLD.created_at > datetime('now', '-30 days')
    BEGIN SELECT RAISE(ABORT, 'the audit log keeps 30 days'); END""",
)
_POSTGRESQL = (
    """CREATE FUNCTION audit_log_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.created_at <= now() - interval '30 days' THEN RETURN OLD; END IF;
            RAISE EXCEPTION 'the audit log keeps 30 days';
        END IF;
        RAISE EXCEPTION 'the audit log is append-only';
    END $$""",
    """CREATE TRIGGER audit_log_keeps_rows BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_guard()""",
    """CREATE TRIGGER audit_log_keeps_all BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_guard()""",
)


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("actor_name", sa.String(length=63), nullable=False),
        sa.Column("action", sa.String(length=63), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_created_at"), "audit_log", ["created_at"])
    for column in ("actor", "action", "subject"):
        op.create_index(op.f(f"ix_audit_log_{column}_id"), "audit_log", [column, "id"])
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
    with op.batch_alter_table("api_keys") as table:
        table.add_column(sa.Column("previous_digest", sa.String(length=71), nullable=True))
        table.add_column(sa.Column("previous_expires_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_api_keys_previous_digest"), "api_keys", ["previous_digest"], unique=True)
    op.add_column("recommendations", sa.Column("asked_by", sa.String(length=100), nullable=True))


def downgrade() -> None:
    op.drop_column("recommendations", "asked_by")
    op.drop_index(op.f("ix_api_keys_previous_digest"), "api_keys")
    with op.batch_alter_table("api_keys") as table:
        for name in ("requests_per_minute", "rotated_at", "previous_expires_at", "previous_digest"):
            table.drop_column(name)
    op.drop_table("audit_log")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_log_guard()")
