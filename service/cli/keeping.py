"""`herenow gc`, `herenow backup` and `herenow restore`: what is kept, what goes, what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.admin import opened
from service.cli.console import CommandError, busy, emit, err, out, plain, reported_errors
from service.cli.options import DataDirOption, JsonOption
from service.cli.tables import plain_table

if TYPE_CHECKING:
    from service.backup.service import Backup
    from service.housekeeping import Garbage

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    job_days: Annotated[
        int | None,
        typer.Option(min=1, help="Keep the log and files of a finished job this long, whatever the settings say."),
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove artifacts no policy names, files of old jobs, and rows kept longer than the settings say."""
    with reported_errors(as_json), opened(data_dir) as (settings, database):
        from service.db.migrate import require_head
        from service.housekeeping import collect
        from service.retention import expired
        from service.storage import Storage

        require_head(database)
        days = job_days or settings.keep_job_files_days
        with busy("looking for what nobody needs"):
            job_age = timedelta(days=days) if days else None
            garbage = collect(database, Storage.of(settings), job_age, dry_run, expired(settings))
        if as_json:
            emit({"removed": not dry_run, **_told(garbage)})
        else:
            _print_garbage(garbage, dry_run)


def _told(garbage: Garbage) -> dict[str, Any]:
    return {
        "artifacts": list(garbage.artifacts),
        "job_folders": list(garbage.job_folders),
        **garbage.rows,
        "bytes": garbage.bytes,
    }


def _print_garbage(garbage: Garbage, dry_run: bool) -> None:
    table = plain_table()
    for heading in ("would go" if dry_run else "removed", "how many", "MiB"):
        table.add_column(heading, justify="right" if table.columns else "left")
    files = {"artifacts": garbage.artifacts, "files of jobs": garbage.job_folders}
    for name, found in files.items():
        table.add_row(name, f"{len(found):,}", f"{sum(found.values()) / 2**20:.1f}")
    for name, number in garbage.rows.items():
        table.add_row(name.replace("_", " "), f"{number:,}", "")
    out.print(table)


def backup(
    file: FileArgument,
    keep: Annotated[
        int | None, typer.Option(min=1, help="In a folder: keep this many of the backups there, the newest.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write rows and artifacts of this moment to a new FILE (in a folder named by the time), also while all runs."""
    with reported_errors(as_json), _backup_errors(), opened(data_dir) as (settings, database):
        from service.backup.folder import forget_old, named_in
        from service.backup.service import make
        from service.db.migrate import require_head
        from service.storage import Storage

        require_head(database)
        with busy("backing up"):
            made = make(database, Storage.of(settings), named_in(file) if file.is_dir() else file)
        gone = forget_old(file, keep) if keep is not None and file.is_dir() else []
        told = {"file": str(made.path), "revision": made.revision, "rows": made.rows, "artifacts": made.artifacts}
        if as_json:
            emit({**told, "bytes": made.bytes, "damaged": made.damaged, "removed": [str(path) for path in gone]})
        else:
            _print_backup(made)
        if made.damaged:
            names = ", ".join(made.damaged[:3])
            raise CommandError(f"{len(made.damaged)} artifacts are missing or damaged in the store: {names}")


def _print_backup(made: Backup) -> None:
    size = f"{made.bytes / 2**20:.1f} MiB"
    rows = f"{sum(made.rows.values()):,} rows and {made.artifacts:,} artifacts"
    out.print(f"{plain(str(made.path))}: {rows}, {size}, revision {made.revision}", soft_wrap=True)


def restore(
    file: FileArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Delete what the database holds first.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a backup back into an empty database and its store; stop API and workers before."""
    with reported_errors(as_json), _backup_errors():
        if check:
            _check(file, as_json)
            return
        with opened(data_dir) as (settings, database):
            from service.backup.service import restore as bring_back
            from service.storage import Storage
            from service.supervision import exclusive

            with exclusive(settings.data_dir), busy("restoring"):
                done = bring_back(database, Storage.of(settings), file, replace)
        if as_json:
            emit(vars(done))
            return
        rows = f"{sum(done.rows.values()):,} rows and {done.artifacts:,} artifacts"
        out.print(f"{rows} are back, at revision {done.revision}; {done.requeued} jobs wait for a worker again")
        for digest in done.damaged:
            err.print(f"[yellow]artifact {digest} was missing when the backup was made")


def _check(file: Path, as_json: bool) -> None:
    from service.backup.service import check

    with busy("verifying"):
        manifest = check(file)
    about = {name: manifest[name] for name in ("made_at", "herenow", "revision", "database", "rows", "damaged")}
    if as_json:
        emit({"file": str(file), "whole": True, **about, "members": len(manifest["members"])})
    else:
        out.print(f"{plain(str(file))} is whole: made {about['made_at']} by {about['herenow']}", soft_wrap=True)


@contextmanager
def _backup_errors() -> Iterator[None]:
    from service.backup.archive import BackupError
    from service.supervision import DataFolderBusy

    try:
        yield
    except (BackupError, DataFolderBusy) as error:
        raise CommandError(str(error)) from None
