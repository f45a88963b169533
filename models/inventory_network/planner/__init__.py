"""The planner's side of the room: states read and described, decisions explained, files imported."""
