"""Alembic migrations: the history of the database's shape, the same for SQLite and PostgreSQL."""
