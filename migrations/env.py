"""Alembic's environment: runs migrations on the connection that `service.db.migrate` hands over.

Called by Alembic's own command line instead (to write a new revision), it takes the database from `-x url=…`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context

from service.db.rows import Base, UtcDateTime
from service.db.session import Database


def _render(kind: str, item: Any, autogen: Any) -> str | bool:
    """Revisions speak plain SQLAlchemy, so that they outlive the service's own types."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def _migrate(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
        compare_type=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _own_connection() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if url is None:
        raise SystemExit("name the database: alembic -x url=sqlite:///file.db …")
    database = Database(url)
    with database.engine.begin() as connection:
        _migrate(connection)
    database.close()


given = context.config.attributes.get("connection")
if given is None:
    _own_connection()
else:
    _migrate(given)
