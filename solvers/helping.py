"""What a process that lends a hand to a training elsewhere does: serve lanes, or be a rank. The first message says."""

from __future__ import annotations

from multiprocessing.connection import Connection

from solvers import lanes, team


def serve(pipe: Connection) -> None:
    """Lend a hand until the other side closes the connection."""
    try:
        asked = pipe.recv()
        if isinstance(asked, team.Order):
            team.serve(pipe, asked)
        else:
            lanes.serve(pipe, asked)
    except (EOFError, OSError):
        return
