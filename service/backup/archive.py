"""The file of a backup: a ZIP of tables and artifacts with a manifest of what must be in it.

`manifest.json` names every member with its size and SHA-256, and says which release and revision wrote it. Members are
read by their names in the manifest alone, never put where an archive's own names say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
CHUNK = 2**20
_TABLE = re.compile(r"tables/[a-z_]{1,63}\.jsonl")
_ARTIFACT = re.compile(r"artifacts/[0-9a-f]{64}/[a-z_.]{1,63}")


class BackupError(RuntimeError):
    """A backup cannot be made or read; the text says why."""


class Writer:
    """An archive being written; `members` is what the manifest will say of each."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self.members: dict[str, dict[str, Any]] = {}

    def add(self, name: str, parts: Iterable[bytes], compress: bool = True) -> int:
        """Write a member; the number of parts (lines of a table)."""
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        digest, size, count = hashlib.sha256(), 0, 0
        with self._file.open(info, "w", force_zip64=True) as member:
            for part in parts:
                member.write(part)
                digest.update(part)
                size += len(part)
                count += 1
        self.members[name] = {"bytes": size, "sha256": digest.hexdigest()}
        return count

    def close(self, about: dict[str, Any]) -> None:
        """Write the manifest: what is said about the whole, and the members."""
        document = {"format": FORMAT, **about, "members": self.members}
        self._file.writestr(MANIFEST, json.dumps(document, indent=1, ensure_ascii=False))


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A new archive, readable by this user alone, there once it is whole; BackupError if something is there already."""
    if path.exists():
        raise BackupError(f"{path} exists already")
    aside = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
                yield Writer(file)
            raw.flush()
            os.fsync(raw.fileno())
        aside.rename(path)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        aside.unlink(missing_ok=True)


class Reader:
    """An archive with its manifest."""

    def __init__(self, file: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
        self._file = file
        self.manifest = manifest
        self.members: dict[str, dict[str, Any]] = manifest["members"]

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a table; none if the backup lacks it."""
        if name in self.members:
            with self._file.open(name) as member:
                yield from member

    def content(self, name: str) -> bytes:
        """A member whole."""
        return self._file.read(name)

    def verify(self) -> None:
        """BackupError unless every member is there with the digest of the manifest, and nothing else is."""
        found = set(self._file.namelist()) - {MANIFEST}
        if odd := sorted(found ^ set(self.members)):
            raise BackupError(f"the backup's content is not what its manifest says: {odd[0][:80]!r}")
        for name, told in self.members.items():
            if not _TABLE.fullmatch(name) and not _ARTIFACT.fullmatch(name):
                raise BackupError(f"a backup has no such member: {name[:80]!r}")
            digest = hashlib.sha256()
            with self._file.open(name) as member:
                while chunk := member.read(CHUNK):
                    digest.update(chunk)
            if digest.hexdigest() != told["sha256"]:
                raise BackupError(f"the backup is damaged: {name} does not have the digest its manifest names")


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """An archive of ours; BackupError if it is none or cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            manifest = json.loads(file.read(MANIFEST))
            if manifest.get("format") != FORMAT:
                raise BackupError(f"{path}: format {manifest.get('format')!r} is not one this release reads")
            yield Reader(file, manifest)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BackupError(f"{path} is no backup that can be read: {error}") from None
