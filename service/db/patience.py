"""Waiting for a database that is away: what may be done again is done again until it answers.

A database is away when it cannot be reached, is starting up, is locked for too long or has no room; none of that is a
reason to lose an hour's work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError

log = logging.getLogger(__name__)

T = TypeVar("T")

AWAY = (OperationalError, InterfaceError, TimeoutError)
"""What a database that does not answer raises; a refused statement (a broken constraint) is none of these."""

PATIENCE_SECONDS = 600.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0  # seconds between two tries


def insist(step: Callable[[], T], seconds: float = PATIENCE_SECONDS, is_over: Callable[[], bool] = lambda: False) -> T:
    """The step's result, once the database answers; its last error after so many seconds or once `is_over`.

    The step is one whole transaction: a connection that broke may have done it, so doing it twice must do no harm.
    """
    deadline, wait = time.monotonic() + seconds, FIRST_WAIT
    while True:
        try:
            return step()
        except AWAY as error:
            if time.monotonic() + wait > deadline or is_over():
                raise
            log.warning("the database does not answer (%s); trying again", type(error).__name__)
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def is_full(error: DBAPIError) -> bool:
    """Whether the database refused to write because its disk is full."""
    return "disk is full" in str(error.orig) or "No space left on device" in str(error.orig)
