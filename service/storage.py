"""Files: artifacts by digest and a folder per job, in one store that API and workers share.

Without `HERENOW_STORE_URL` that store is the data folder itself: a job's log and checkpoint are written where others
read them. With one, the data folder is each machine's own; what others need of it is carried to the store.

No path is ever made from a request's text; an id is checked before it names a folder.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service import job_logs
from service.ids import is_id
from solvers.artifact import place_of
from solvers.store import FolderStore, Found, Store

if TYPE_CHECKING:
    from service.settings import Settings

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint/checkpoint.safetensors"
_JOB = re.compile(r"([^/]+)/.+")
_ARTIFACT = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})/.+")


@dataclass(frozen=True)
class Kept:
    """An artifact or a job's files: its name, size [bytes], and when it was last written [seconds since 1970]."""

    name: str
    size: int
    modified: float


NO_ROOM = "The disk that keeps the service's data is full."


def is_full(error: BaseException) -> bool:
    """Whether a write failed because the disk (or a quota on it) is full."""
    full = {errno.ENOSPC, errno.EDQUOT}
    return (isinstance(error, OSError) and error.errno in full) or "No space left on device" in str(error)


class Storage:
    """The file half of the service's memory.

    A job's folder holds `log.txt` (text for people), `checkpoint/` (what the next attempt resumes from) and, while an
    attempt runs, its own small files.
    """

    def __init__(self, root: Path, store: Store | None = None, cache_bytes: int = 2**30) -> None:
        self.root = root
        self.is_shared = store is not None  # beyond the data folder: what others need must be carried there
        self.store: Store = store or FolderStore(root)
        self._cache_bytes = cache_bytes

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        """The storage that the settings name."""
        if not settings.store_url:
            return cls(settings.data_dir)
        from service.objects import open_store

        store = open_store(settings.store_url)
        if isinstance(store, FolderStore) and store.root.resolve() == settings.data_dir.resolve():
            return cls(settings.data_dir)  # it is shared as it is: nothing has to be carried
        return cls(settings.data_dir, store, settings.store_cache_mb * 2**20)

    @property
    def artifacts(self) -> Store:
        """Where artifacts lie (see `solvers.artifact`)."""
        store = self.store.below("artifacts")
        if not self.is_shared:
            return store
        from service.objects import CachedStore

        return CachedStore(store, self.root / "cache" / "artifacts", self._cache_bytes)

    def prepare(self) -> None:
        """Make the folders, readable by this user alone."""
        for folder in (self.root, self.root / "artifacts", self.root / "jobs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if isinstance(self.store, FolderStore):
            self.store.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def check(self) -> str:
        """`ok`, or what is wrong with the data folder or the store (a readiness check)."""
        try:
            FolderStore(self.root).check()
        except OSError:
            return "the data folder cannot be written"
        try:
            self.store.check()
        except OSError as error:
            log.warning("store: %s", error)
            return "the store does not answer"
        return "ok"

    def sizes(self) -> dict[str, int]:
        """What the store holds [bytes]: artifacts, jobs."""
        return {name: sum(found.size for found in self.store.listing(name)) for name in ("artifacts", "jobs")}

    def disk(self) -> tuple[int, int]:
        """Free and total space of the disk the data folder is on [bytes]."""
        usage = shutil.disk_usage(self.root)
        return usage.free, usage.total

    def artifacts_kept(self) -> Iterator[Kept]:
        """Every artifact by its digest, also one that is not whole."""
        for name, parts in _grouped(self.store.below("artifacts"), _ARTIFACT).items():
            yield _kept(f"sha256:{name}", parts)

    def artifact_kept(self, digest: str) -> Kept | None:
        """One artifact, if anything of it is there; ArtifactError unless it is a digest."""
        parts = list(self.store.below("artifacts").listing(place_of(digest)))
        return _kept(digest, parts) if parts else None

    def remove_artifact(self, digest: str) -> None:
        """Remove an artifact; ArtifactError unless it is a digest."""
        self.artifacts.remove(place_of(digest))

    def jobs_kept(self) -> Iterator[Kept]:
        """Every job that left files in the store or a folder here, by its id."""
        groups = _grouped(self.store.below("jobs"), _JOB)
        for folder in (self.root / "jobs").glob("job_*"):
            if folder.name not in groups:
                seen = folder.stat()
                groups[folder.name] = [Found(folder.name, 0, seen.st_mtime), *FolderStore(folder).listing()]
        for name, parts in groups.items():
            if is_id(name, "job"):
                yield _kept(name, parts)

    def job_folder(self, job_id: str) -> Path:
        """The job's folder on this machine; not made here. ValueError unless `job_id` is a job's id."""
        return self.root / _job(job_id)

    def log_path(self, job_id: str) -> Path:
        """The log that the job's child writes on this machine."""
        return self.job_folder(job_id) / "log.txt"

    def read_log(self, job_id: str, offset: int, limit: int) -> tuple[bytes, int]:
        """Bytes of the log from `offset`, at most `limit`, and the log's size; empty if there is none yet."""
        if self.is_shared:
            return job_logs.read(self.store.below(_job(job_id)), offset, limit)
        try:
            with self.log_path(job_id).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(min(offset, size))
                return file.read(limit), size
        except FileNotFoundError:
            return b"", 0

    @contextmanager
    def log_carried(self, job_id: str, writer: str) -> Iterator[None]:
        """While open, what the job's child writes here is carried to a store elsewhere; `writer` names the parts."""
        if not self.is_shared:
            yield
            return
        carrier = job_logs.LogCarrier(self.log_path(job_id), self.store.below(_job(job_id)), writer)
        carrier.start()
        try:
            yield
        finally:
            carrier.close()

    def leave_job(self, job_id: str) -> None:
        """An attempt here is over: what others need of its files is in the store, and the copies here may go."""
        if self.is_shared:
            shutil.rmtree(self.job_folder(job_id), ignore_errors=True)

    def leave_note(self, job_id: str, name: str, content: bytes) -> None:
        """Leave a small file for other workers with a job; it holds for a while, `remove_note` takes it away."""
        self.store.write(f"{_job(job_id)}/{name}", content)

    def read_note(self, job_id: str, name: str) -> bytes | None:
        """What was left with a job, if it is still there."""
        try:
            return self.store.read(f"{_job(job_id)}/{name}")
        except FileNotFoundError:
            return None

    def remove_note(self, job_id: str, name: str) -> None:
        """Take a note away."""
        self.store.remove(f"{_job(job_id)}/{name}")

    def remove_checkpoint(self, job_id: str) -> None:
        """Remove what the job would resume from."""
        shutil.rmtree(self.job_folder(job_id) / "checkpoint", ignore_errors=True)
        if self.is_shared:
            self.store.remove(f"{_job(job_id)}/checkpoint")

    def remove_job(self, job_id: str) -> None:
        """Remove the job's files, if there are any."""
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)
        if self.is_shared:
            self.store.remove(_job(job_id))


def _job(job_id: str) -> str:
    """The name a job's files lie below; ValueError unless it is a job's id."""
    if not is_id(job_id, "job"):
        raise ValueError("not a job id")
    return f"jobs/{job_id}"


def _grouped(store: Store, pattern: re.Pattern[str]) -> dict[str, list[Found]]:
    """What lies in a store, by the first group of the pattern; what does not match is not ours."""
    groups: dict[str, list[Found]] = {}
    for found in store.listing():
        match = pattern.fullmatch(found.name)
        if match:
            groups.setdefault(match[1], []).append(found)
    return groups


def _kept(name: str, parts: list[Found]) -> Kept:
    return Kept(name, sum(part.size for part in parts), max(part.modified for part in parts))
