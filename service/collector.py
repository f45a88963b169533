"""Pausing Python's cyclic garbage collector while a large document is built.

Building a million small lists or dicts triggers collection after collection that finds nothing; they cost two thirds of
the time of parsing such a body.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holders = 0
_was_enabled = False


@contextmanager
def collector_paused(pause: bool = True) -> Iterator[None]:
    """No collections until left; may be nested and entered by several threads at once."""
    if not pause:
        yield
        return
    _hold(1)
    try:
        yield
    finally:
        _hold(-1)


def _hold(change: int) -> None:
    global _holders, _was_enabled
    with _lock:
        if _holders == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _holders += change
        if _holders == 0 and _was_enabled:
            gc.enable()
