"""Scenario sets: the planner's own demand or inflow scenarios."""
