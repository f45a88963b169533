"""Options that several commands share, with one wording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ARTIFACTS = Path("herenow-artifacts")  # default of `OutOption`: where commands without a server keep policies

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for machines.")]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Data folder; HERENOW_DATA_DIR or the user's own if left out.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder of policy artifacts.")]
SeedOption = Annotated[int | None, typer.Option(min=0, max=2**31 - 1, help="A random one, shown, if left out.")]
EofOption = Annotated[
    bool, typer.Option("--stop-on-eof", help="Stop when standard input ends: for a program that starts this one.")
]
