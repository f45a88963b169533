"""What a process that lends a hand to a training elsewhere does: serve lanes, or be a rank. The first word says."""

from __future__ import annotations

from multiprocessing.connection import Connection

from solvers import lanes, team
from solvers.messages import PLAIN, MessageError

_DO = {lanes.WANTED: lanes.serve, team.WANTED: team.serve}


def serve(pipe: Connection) -> None:
    """Lend a hand until the other side closes the connection.

    Raises:
        MessageError: the other side says what cannot be read, or asks for what is not done.
    """
    try:
        word = PLAIN.hear(pipe, str)
        if word not in _DO:
            raise MessageError(f"nobody is asked for {word!r}")
        _DO[word](pipe)
    except MessageError:
        raise
    except (EOFError, OSError):
        return
