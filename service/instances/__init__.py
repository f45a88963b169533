"""Instances: a planner's data, stored once per content."""
