"""The planner's dashboard: files a browser runs against the public API; no state of its own on the server."""
