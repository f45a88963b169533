"""Where a training keeps what it resumes from: a file here, and a copy in the store if that lies elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from service.jobs import checkpoint
from service.objects import insistently
from service.storage import CHECKPOINT, Storage
from solvers.store import Store

log = logging.getLogger(__name__)

SHARE = 10  # carrying a checkpoint to a store elsewhere takes at most one part in so many of a training's time


class Checkpoints:
    """The checkpoints of one attempt at a training."""

    def __init__(self, storage: Storage, job_id: str, seconds: float) -> None:
        self._path = storage.job_folder(job_id) / CHECKPOINT
        self._elsewhere: Store | None = storage.store if storage.is_shared else None
        self._name = f"jobs/{job_id}/{CHECKPOINT}"
        self._seconds = seconds  # least time between two
        self._next_at = -float("inf")

    def load(self) -> dict[str, Any] | None:
        """What an earlier attempt left, wherever it ran; None to begin at the beginning. OSError without an answer."""
        if self._elsewhere is not None:
            self._fetch(self._elsewhere)
        try:
            state = checkpoint.load(self._path.parent)
        except checkpoint.CheckpointError as error:
            log.warning("starting from the beginning: %s", error)
            return None
        if state is not None:
            log.info("resuming from the checkpoint at iteration %s", state.get("iteration", "?"))
        return state

    @property
    def is_due(self) -> bool:
        """Whether it is time for another one."""
        return time.monotonic() >= self._next_at

    def save(self, state: Mapping[str, Any], is_last: bool = False) -> int:
        """Keep a state; its size [bytes]. A store that does not answer is asked again only for the last one."""
        self._next_at = time.monotonic() + self._seconds  # also after one that failed
        size = checkpoint.save(self._path.parent, state)
        began = time.monotonic()
        if self._elsewhere is not None:
            self._carry(self._elsewhere, is_last)
        took = time.monotonic() - began
        self._next_at = time.monotonic() + max(self._seconds, SHARE * took)
        return size

    def _fetch(self, store: Store) -> None:
        """Prefer the store's checkpoint: one that lies here alone is the latest only if none was ever carried."""
        try:
            content = insistently(lambda: store.read(self._name), "a checkpoint is wanted")
        except FileNotFoundError:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.write_bytes(content)

    def _carry(self, store: Store, is_last: bool) -> None:
        content = self._path.read_bytes()
        try:
            insistently(lambda: store.write(self._name, content), "a checkpoint waits", tries=5 if is_last else 1)
        except OSError as error:  # a lost machine would cost more of the work; the work itself goes on
            log.warning("the checkpoint stays on this machine: %s", error)
