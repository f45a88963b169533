"""Keeping Python's cyclic garbage collector from work that finds nothing.

Building a million small lists or dicts triggers collection after collection; they cost two thirds of the time of
parsing such a body. And a collection of everything looks through all that libraries brought, torch's above all: a third
of a second in which nobody is answered, ten times in as many seconds at a thousand requests each.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_holders = 0
_was_enabled = False


def spare_what_is_here() -> None:
    """Leave out of all later collections what exists now, such as libraries just loaded: it stays to the end."""
    gc.collect()
    gc.freeze()


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
