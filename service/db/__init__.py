"""The database: rows and transactions."""
