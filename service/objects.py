"""Stores beyond one machine's disk: S3 and what speaks like it, by fsspec, and a bounded copy of what was read lately.

`open_store` turns a URL into a store (`solvers.store`). A folder stays a folder: renaming and flushing to the disk are
what makes writing there safe, and no other layer does both. An object store writes an object whole by itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from solvers.store import FolderStore, Found, Store

log = logging.getLogger(__name__)

CONNECT_SECONDS = 3
READ_SECONDS = 30
ATTEMPTS = 3  # of one request, by the library itself
_SCHEMES = ("file", "s3")
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,  # others write too
        "config_kwargs": {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"max_attempts": ATTEMPTS, "mode": "standard"},
        },
    }
}
_SEAL = hashlib.sha256().digest_size


def check_url(url: str) -> str:
    """The URL of a store as given; ValueError says what one looks like."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("give file:///FOLDER or s3://BUCKET/PREFIX (keys of S3 are AWS_ variables, no part of it)")
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ValueError("a folder's URL has three slashes: file:///FOLDER")
    if parts.scheme == "s3" and not parts.netloc:
        raise ValueError("an S3 URL names a bucket: s3://BUCKET/PREFIX")
    return url


def open_store(url: str) -> Store:
    """The store at a URL. Nothing is asked of it yet; RuntimeError if a library for it is not installed."""
    parts = urlsplit(check_url(url))
    if parts.scheme == "file":
        return FolderStore(Path(unquote(parts.path)))
    import fsspec

    try:
        system = fsspec.filesystem(parts.scheme, **_OPTIONS.get(parts.scheme, {}))
    except ImportError as error:
        raise RuntimeError(f"{parts.scheme}:// needs a library: pip install 'herenow[{parts.scheme}]'") from error
    return ObjectStore(system, f"{parts.netloc}/{parts.path.strip('/')}".rstrip("/"))


@dataclass(frozen=True)
class ObjectStore:
    """A store in an fsspec file system whose objects are written whole or not at all (S3 and its like)."""

    system: Any  # fsspec.AbstractFileSystem
    root: str  # bucket and prefix

    def read(self, name: str) -> bytes:
        """What is kept under a name."""
        path = self._path(name)
        with _as_os_error():
            content: bytes = self.system.cat_file(path)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Keep bytes under a name: one object, put in one piece."""
        path = self._path(name)
        with _as_os_error():
            self.system.pipe_file(path, content)

    def remove(self, prefix: str) -> None:
        """Remove an object and those below it."""
        path = self._path(prefix)
        with _as_os_error(), suppress(FileNotFoundError):
            found = self.system.find(path)
            if found:
                self.system.rm(found)

    def listing(self, prefix: str = "") -> Iterator[Found]:
        """Every object below a name."""
        top = self._path(prefix) if prefix else self.root
        with _as_os_error():
            found = self.system.find(top, detail=True)
        for path, about in found.items():
            name = path.removeprefix(self.root).lstrip("/")
            if name:
                yield Found(name, int(about["size"]), _modified(about))

    def below(self, prefix: str) -> ObjectStore:
        """The objects below a name, as a store of its own."""
        return ObjectStore(self.system, self._path(prefix))

    def check(self) -> None:
        """FileNotFoundError if the bucket is not there, OSError if nobody answers."""
        with _as_os_error():
            self.system.info(self.root.partition("/")[0])

    def turn(self, alone: bool = False) -> AbstractContextManager[None]:
        """Nothing: an object store has no locks. What is young is left alone there by its age only."""
        return nullcontext()

    def _path(self, name: str) -> str:
        if not name or ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise ValueError(f"{name!r} is no name in a store")
        return f"{self.root}/{name}"


@dataclass(frozen=True)
class CachedStore:
    """A store of names whose content never changes, with copies of what was read lately in a folder.

    A copy begins with the SHA-256 of what follows; one that is damaged is fetched anew. When the copies grow beyond
    `limit` [bytes], those not read for longest go. Several processes may share the folder.
    """

    store: Store
    folder: Path
    limit: int

    def read(self, name: str) -> bytes:
        """What is kept under a name, from the copy if there is a good one."""
        copies, kept = FolderStore(self.folder), self.folder / name
        with suppress(OSError):
            sealed = copies.read(name)
            if hashlib.sha256(sealed[_SEAL:]).digest() == sealed[:_SEAL]:
                os.utime(kept)
                return sealed[_SEAL:]
            log.warning("the copy of %s is damaged; it is fetched anew", name)
        content = self.store.read(name)
        if len(content) + _SEAL <= self.limit:
            try:
                copies.write(name, hashlib.sha256(content).digest() + content)
                self._make_room()
            except OSError as error:  # a full disk is no reason not to decide
                log.warning("no copy of %s could be kept: %s", name, error)
        return content

    def write(self, name: str, content: bytes) -> None:
        """Keep bytes under a name; a copy is made when they are read."""
        self.store.write(name, content)

    def remove(self, prefix: str) -> None:
        """Remove a name and everything below it, here and there."""
        self.store.remove(prefix)
        FolderStore(self.folder).remove(prefix)

    def listing(self, prefix: str = "") -> Iterator[Found]:
        """Everything that the store keeps below a name."""
        return self.store.listing(prefix)

    def below(self, prefix: str) -> CachedStore:
        """The part below a name; its copies have the limit of all."""
        return CachedStore(self.store.below(prefix), self.folder / prefix, self.limit)

    def check(self) -> None:
        """As the store says: copies alone are not enough."""
        self.store.check()

    def turn(self, alone: bool = False) -> AbstractContextManager[None]:
        """As the store behind."""
        return self.store.turn(alone)

    def _make_room(self) -> None:
        copies = sorted(FolderStore(self.folder).listing(), key=lambda found: found.modified)
        total = sum(found.size for found in copies)
        for found in copies:
            if total <= self.limit:
                return
            (self.folder / found.name).unlink(missing_ok=True)
            total -= found.size


def insistently(ask: Callable[[], Any], what: str, tries: int = 5, pause: float = 1.0) -> Any:
    """What `ask` returns; a store that does not answer is asked again, ever later. OSError after the last try."""
    for attempt in range(1, tries + 1):
        try:
            return ask()
        except FileNotFoundError:
            raise
        except OSError as error:
            if attempt == tries:
                raise
            log.warning("%s: the store did not answer (%s); once more in %g s", what, error, pause * attempt)
            time.sleep(pause * attempt)


def _modified(about: dict[str, Any]) -> float:
    when = about.get("LastModified", about.get("mtime", 0.0))
    return float(when.timestamp() if hasattr(when, "timestamp") else when)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Whatever a client library raises for a place that does not answer is an OSError to us."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConnectionError(f"the store does not answer: {type(error).__name__}") from error
