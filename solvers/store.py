"""Where artifacts lie: bytes under names, in a folder or wherever a service keeps them.

A `Store` is all that the floors above and below agree on. The folder is here; what speaks over a network is the
service's business (`service.objects`).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_ASIDE = ".new-"
_TURN = ".turn"


@dataclass(frozen=True)
class Found:
    """Something kept: its name, size [bytes] and when it was written [seconds since 1970]."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """Bytes under names such as `ab/cd/part.json`.

    A name is written whole or not at all, and by two at once as if by one after the other. Everything raises OSError
    when the place does not answer, and FileNotFoundError for a name that is not kept.
    """

    def read(self, name: str) -> bytes:
        """What is kept under a name."""

    def write(self, name: str, content: bytes) -> None:
        """Keep bytes under a name, in the place of what was kept there."""

    def remove(self, prefix: str) -> None:
        """Remove a name and everything below it; nothing if there is none."""

    def listing(self, prefix: str = "") -> Iterator[Found]:
        """Everything below a name, in no order."""

    def below(self, prefix: str) -> Store:
        """The part of this store below a name, as a store of its own."""

    def check(self) -> None:
        """Return if reading and writing can be expected to work now."""

    def turn(self, alone: bool = False) -> AbstractContextManager[None]:
        """Hold the store while several names that belong together are written; `alone`, nobody else does meanwhile.

        Where the place cannot (an object store), nothing is held.
        """


@dataclass(frozen=True)
class FolderStore:
    """A store in a folder: names are its files. Writing goes aside, to the disk, and then into place by a rename."""

    root: Path

    def read(self, name: str) -> bytes:
        """What is kept under a name."""
        return self._path(name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Keep bytes under a name, on the disk when this returns."""
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(prefix=_ASIDE, dir=path.parent)  # readable by this user alone
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside)
            raise

    def remove(self, prefix: str) -> None:
        """Remove a file, or a folder with everything in it."""
        path = self._path(prefix)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def listing(self, prefix: str = "") -> Iterator[Found]:
        """Everything below a name; what is removed while we look is left out."""
        top = self._path(prefix) if prefix else self.root
        for place, _, files in os.walk(top):
            for file in files:
                path = Path(place, file)
                with suppress(OSError):
                    seen = path.lstat()
                    if not file.startswith((_ASIDE, _TURN)):
                        yield Found(path.relative_to(self.root).as_posix(), seen.st_size, seen.st_mtime)

    def below(self, prefix: str) -> FolderStore:
        """The store in a folder of this one."""
        return FolderStore(self._path(prefix))

    def check(self) -> None:
        """PermissionError or FileNotFoundError if no file can be made here."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"there is no folder {self.root}")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise PermissionError(f"the folder {self.root} cannot be written")

    @contextmanager
    def turn(self, alone: bool = False) -> Iterator[None]:
        """Hold the folder by a lock on a file of it, which goes with the process."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / _TURN, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):  # nothing that begins with a dot, so nothing outside either
            raise ValueError(f"{name!r} is no name in a store")
        return self.root / name
