"""The run-time type checker of the tests: an int may stand where a float is asked for, as type checkers allow.

A test's first `CALLS` checked calls are checked: a training calls the same functions with the same shapes a million
times, and to check all of them took a third of the time of its test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

CALLS = 10_000

_beartyped = beartype(conf=BeartypeConf(is_pep484_tower=True))
_left = CALLS


def begin() -> None:
    """A test begins: its first calls are checked."""
    global _left
    _left = CALLS
    jaxtyping.config.update("jaxtyping_disable", False)


def checked(function: Callable[..., Any]) -> Any:
    """The function, its arguments and answer checked and its calls counted."""
    check = _beartyped(function)

    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        global _left
        _left -= 1
        if _left == 0:
            jaxtyping.config.update("jaxtyping_disable", True)
        return check(*args, **kwargs)

    return counted
