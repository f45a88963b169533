"""Decisions: what policies recommend, and the audit trail of it."""
