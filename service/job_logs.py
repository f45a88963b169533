"""A job's log in a store: parts that grow one after the other, because objects cannot be appended to.

A part is `log/<number>-<who wrote it>`. The last one is written again as it grows, up to `PART_BYTES`; then the next
begins. Each attempt goes on behind the parts of those before.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from solvers.store import Found, Store

log = logging.getLogger(__name__)

PART_BYTES = 2**18
CARRY_SECONDS = 2.0
LAST_SECONDS = 20.0  # what the end of an attempt waits at most for its last lines to be carried
_BELOW = "log"


class LogCarrier:
    """Carries what a file gains to a job's part of the store, on a thread of its own, until it is closed."""

    def __init__(self, path: Path, job: Store, writer: str) -> None:
        self._path, self._job, self._writer = path, job, writer
        self._carried = path.stat().st_size if path.exists() else 0  # what an earlier attempt here left is carried
        self._number: int | None = None
        self._part = b""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-carrier", daemon=True)

    def start(self) -> None:
        """Start carrying."""
        self._thread.start()

    def close(self) -> None:
        """Carry the rest and stop; a store that does not answer is not waited for beyond `LAST_SECONDS`."""
        self._closing.set()
        self._thread.join(LAST_SECONDS)

    def carry(self) -> None:
        """Carry what is new; OSError leaves it for the next time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._carried)
            while fresh := file.read(PART_BYTES - len(self._part)):
                if self._number is None:
                    self._number = 1 + max((_number(part) for part in self._job.listing(_BELOW)), default=0)
                part = self._part + fresh
                self._job.write(f"{_BELOW}/{self._number:08d}-{self._writer}", part)
                self._carried += len(fresh)
                self._part = part
                if len(part) >= PART_BYTES:
                    self._number, self._part = self._number + 1, b""

    def _run(self) -> None:
        while not self._closing.wait(CARRY_SECONDS):
            self._patiently()
        self._patiently()

    def _patiently(self) -> None:
        try:
            self.carry()
        except OSError as error:
            log.warning("the log waits for the store: %s", error)


def read(job: Store, offset: int, limit: int) -> tuple[bytes, int]:
    """Bytes of a job's log from `offset`, at most `limit`, and the whole log's size."""
    text, begin = b"", 0
    for part in sorted(job.listing(_BELOW), key=lambda found: found.name):
        end = begin + part.size
        if end > offset and len(text) < limit:
            content = job.read(part.name)[: part.size]  # it may have grown since it was listed
            text += content[max(offset - begin, 0) :]
        begin = end
    return text[:limit], begin


def _number(part: Found) -> int:
    digits = part.name.removeprefix(f"{_BELOW}/").partition("-")[0]
    return int(digits) if digits.isdigit() else 0
