"""The planner's side of lot sizing: states read, decisions explained, schedules drawn."""
