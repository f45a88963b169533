"""Whether a long run is to stop: asked often, answered rarely, and the same for all ranks."""

from __future__ import annotations

import time

from solvers.core import Callbacks, TrainRequest
from solvers.ranks import Ranks

STOP_EVERY = 0.25  # [s] between questions whether to stop


class Stopped(Exception):
    """Whoever started the run asked for its end, or its time is up."""


class Watch:
    """Asks whether to stop, often but not at every step; raises `Stopped` with the reason, on all ranks at once."""

    def __init__(self, request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> None:
        self.limit, self.callbacks, self.ranks = request.time_limit, callbacks, ranks
        self.started = self.asked = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def __call__(self) -> None:
        reason = self.ranks.agree(self._reason())
        if reason:
            raise Stopped("request" if reason == 1 else "time_limit")

    def _reason(self) -> int:
        """1 if a stop was asked for, 2 if time is up, else 0."""
        now = time.monotonic()
        if now - self.asked < STOP_EVERY:
            return 0
        self.asked = now
        if self.callbacks.should_stop():
            return 1
        return 2 if self.limit is not None and self.elapsed >= self.limit else 0
