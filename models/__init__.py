"""Floor 0: the problems. What is decided, what happens, and what it costs; no algorithm and no service."""
