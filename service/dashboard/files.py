"""The dashboard's files, read once: serving one is a look-up in a table, so no path from a request meets the disk."""

from __future__ import annotations

import gzip
import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_WORTH_PACKING = 1024  # bytes


@dataclass
class File:
    """One file: its content, type, and its packed form once somebody asked for it."""

    content: bytes
    media_type: str
    _packed: bytes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def packed(self) -> bytes | None:
        """The content under gzip; None where packing is not worth it."""
        if len(self.content) < _WORTH_PACKING:
            return None
        with self._lock:
            if self._packed is None:
                self._packed = gzip.compress(self.content, 6, mtime=0)
        return self._packed


@dataclass(frozen=True)
class Site:
    """All files under their names, and a digest that changes when any of them does."""

    files: dict[str, File]
    digest: str

    def page(self, name: str, nonce: str) -> bytes:
        """A page, its addresses under the digest and its own script and styles under this answer's nonce."""
        text = self.files[name].content.decode()
        return text.replace("{{base}}", f"/dashboard/{self.digest}").replace("{{nonce}}", nonce).encode()


def read_site(folder: Path = FOLDER) -> Site:
    """Read every file of known type below a folder."""
    files: dict[str, File] = {}
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES:
            name = path.relative_to(folder).as_posix()
            files[name] = File(path.read_bytes(), TYPES[path.suffix])
            total.update(name.encode() + b"\0" + files[name].content)
    return Site(files, total.hexdigest()[:16])
