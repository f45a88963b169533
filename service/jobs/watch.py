"""Which workers are gone, judged without comparing clocks.

A lease is a promise to write a new heartbeat within so many seconds. Whoever watches measures, on a monotonic clock of
its own, how long the same heartbeat has stood: clocks of machines may differ, jump or be set back an hour, and no job
is taken from a living worker or left with a dead one.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.jobs.repository import Held

BLINK = 0.5  # looking late by more than this part of a lease, we were the ones who were away


class Watch:
    """What one reconciler, that looks every `pace` seconds, has seen of leases and since when [monotonic seconds]."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._seen: dict[Held, float] = {}
        self._looked: float | None = None

    def forget(self) -> None:
        """What was seen no longer counts: every lease is watched from anew."""
        self._seen.clear()

    def lost(self, held: Sequence[Held], now: float) -> list[Held]:
        """Claims whose heartbeat has stood still for their lease; `now` is when the look began.

        After a gap in our own looking (an absent database, a stopped process) every lease is watched from anew: the
        workers may have been as cut off as we were.
        """
        late = 0.0 if self._looked is None else now - self._looked - self._pace
        self._looked = now
        self._seen = {one: now if late > BLINK * one.lease_seconds else self._seen.get(one, now) for one in held}
        return [one for one, since in self._seen.items() if now - since >= one.lease_seconds]
