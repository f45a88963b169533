"""How often somebody may ask: token buckets in this process's memory.

A rate holds for one process. Where several share the load, `HERENOW_API_PROCESSES` says how many, and each grants its
share: all together never grant more than the rate, and as much where the load is spread evenly.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from service.errors import ApiError

_BUCKETS = 10_000


class RateLimiter:
    """Token buckets, one per key or address: `per_minute` requests, which may come at once, refilled evenly.

    `processes` share the rate; 0 a minute is unlimited. The bucket used longest ago is forgotten beyond 10,000.
    """

    def __init__(self, per_minute: int, processes: int = 1) -> None:
        self.per_minute = per_minute
        self._processes = processes
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, who: str, now: float, per_minute: int | None = None) -> float:
        """Seconds until `who` may ask again (at a rate of their own, if given); 0 means now, and takes a token."""
        asked = self.per_minute if per_minute is None else per_minute
        if not asked:
            return 0.0
        most = max(1.0, asked / self._processes)
        rate = asked / self._processes / 60
        with self._lock:
            tokens, then = self._buckets.pop(who, (most, now))
            tokens = min(most, tokens + (now - then) * rate)
            allowed = tokens >= 1
            self._buckets[who] = (tokens - allowed, now)
            if len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / rate


class CallerRates:
    """What is checked once it is known who asks: a key's own rate, and how often an address may come with a bad key."""

    def __init__(self, per_minute: int, processes: int = 1) -> None:
        self._own = RateLimiter(0, processes)
        self._failed = RateLimiter(per_minute, processes)

    def take(self, key_id: str, per_minute: int | None) -> None:
        """Count a request of a key against its own rate; ApiError 429."""
        if per_minute is not None:
            refuse(self._own.wait(key_id, time.monotonic(), per_minute), per_minute, "with this key")

    def take_failure(self, address: str) -> None:
        """Count a request with a key that is none against its address; ApiError 429."""
        refuse(self._failed.wait(address, time.monotonic()), self._failed.per_minute, "from this address")


def refuse(wait: float, per_minute: int, whose: str) -> None:
    """ApiError 429 with `Retry-After` unless the wait [s] is 0."""
    if wait > 0:
        detail = f"At most {per_minute} requests a minute {whose}."
        raise ApiError("rate-limited", detail, headers={"Retry-After": str(int(wait) + 1)})
