"""Acceptance tests: what a version must have shown before it goes into use."""
