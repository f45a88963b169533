"""Tests of the Python client: against the OpenAPI document, and against a real server behind a bad line."""
