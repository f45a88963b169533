"""Backups named by their moment in a folder, of which the newest are kept."""

from __future__ import annotations

import re
from pathlib import Path

from service.db.rows import utcnow

_NAME = re.compile(r"herenow-\d{8}T\d{6}Z\.zip")


def named_in(folder: Path) -> Path:
    """A backup's path in a folder, named by the present moment."""
    return folder / f"herenow-{utcnow():%Y%m%dT%H%M%SZ}.zip"


def forget_old(folder: Path, keep: int) -> list[Path]:
    """Remove all but the newest backups of a folder; those removed. Nothing else in it is touched."""
    ours = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    gone = ours[:-keep]
    for path in gone:
        path.unlink()
    return gone
