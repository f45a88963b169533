"""What breaks on purpose, and what is promised then."""
