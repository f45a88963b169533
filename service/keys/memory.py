"""Keys that opened the door a moment ago, so that not every request of theirs reads the database.

What is remembered is the digest of a secret, for `REMEMBERED` seconds. A key revoked or rotated in this process is
forgotten at once; in another process it may open the door for that much longer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from service.keys.callers import Caller

REMEMBERED = 1.0  # seconds
_MOST = 10_000


class KnownKeys:
    """Callers by the digest of their secret, each for a moment."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str, now: float) -> Caller | None:
        """The caller who came with this secret at most `REMEMBERED` seconds before `now`."""
        with self._lock:
            caller, then = self._known.get(digest, (None, 0.0))
        return caller if now - then < REMEMBERED else None

    def remember(self, digest: str, caller: Caller, now: float) -> None:
        """Let the caller in again without asking the database."""
        with self._lock:
            self._known[digest] = caller, now
            self._known.move_to_end(digest)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self, key_id: str) -> None:
        """Ask the database the next time a key comes, with whatever secret."""
        with self._lock:
            for digest in [digest for digest, (caller, _) in self._known.items() if caller.owner == key_id]:
                del self._known[digest]
