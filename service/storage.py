"""Files: artifacts by digest and a folder per job, all below one root that API and workers share.

No path is ever made from a request's text; an id is checked before it names a folder.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from service.ids import is_id


class Storage:
    """The file half of the service's memory.

    A job's folder holds `log.txt` (text for people), `checkpoint/` (what the next attempt resumes from) and, while an
    attempt runs, its own small files.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def artifacts(self) -> Path:
        """Root of the artifact store (see `solvers.artifact`)."""
        return self.root / "artifacts"

    def prepare(self) -> None:
        """Make the folders, readable by this user alone."""
        for folder in (self.root, self.artifacts, self.root / "jobs"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def writable(self) -> bool:
        """Whether files can be made here (a readiness check)."""
        return self.root.is_dir() and os.access(self.root, os.W_OK | os.X_OK)

    def sizes(self) -> dict[str, int]:
        """What the folders below the root hold [bytes]: artifacts, jobs."""
        return {name: _size(self.root / name) for name in ("artifacts", "jobs")}

    def disk(self) -> tuple[int, int]:
        """Free and total space of the disk the root is on [bytes]."""
        usage = shutil.disk_usage(self.root)
        return usage.free, usage.total

    def job_folder(self, job_id: str) -> Path:
        """The job's folder; not made here. ValueError unless `job_id` is a job's id."""
        if not is_id(job_id, "job"):
            raise ValueError("not a job id")
        return self.root / "jobs" / job_id

    def log_path(self, job_id: str) -> Path:
        """The job's log."""
        return self.job_folder(job_id) / "log.txt"

    def read_log(self, job_id: str, offset: int, limit: int) -> tuple[bytes, int]:
        """Bytes of the log from `offset`, at most `limit`, and the log's size; empty if there is none yet."""
        try:
            with self.log_path(job_id).open("rb") as log:
                size = os.fstat(log.fileno()).st_size
                log.seek(min(offset, size))
                return log.read(limit), size
        except FileNotFoundError:
            return b"", 0

    def remove_job(self, job_id: str) -> None:
        """Remove the job's folder, if there is one."""
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; what is removed while we look counts for nothing."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, file)).st_size
    return total
