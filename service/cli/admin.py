"""`herenow db`, `herenow keys` and `herenow gc`: what an operator does beside the running service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import CommandError, busy, emit, err, out, plain, refuse, reported_errors
from service.cli.options import DataDirOption, JsonOption
from service.cli.tables import plain_table

if TYPE_CHECKING:
    from service.db.session import Database
    from service.keys.service import NewKey
    from service.settings import Settings

db = typer.Typer(no_args_is_help=True, help="The database's shape.")
keys = typer.Typer(no_args_is_help=True, help="API keys: who may use the service and for what.")


def read_settings(**given: Any) -> Settings:
    """The settings from the environment, with the options that were given; CommandError names a wrong one."""
    from pydantic import ValidationError

    from service.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"HERENOW_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise CommandError("; ".join(lines), code=2) from None


@contextmanager
def opened(data_dir: Path | None) -> Iterator[tuple[Settings, Database]]:
    """The settings and the database in force; CommandError if it cannot be reached or is not at this release."""
    from sqlalchemy.exc import OperationalError

    from service.db.migrate import SchemaMismatch
    from service.db.session import Database

    settings = read_settings(data_dir=data_dir)
    database = Database(settings.database)
    try:
        yield settings, database
    except OperationalError as error:
        raise CommandError(f"the database does not answer: {error.orig}") from None
    except SchemaMismatch as error:
        raise CommandError(str(error)) from None
    finally:
        database.close()


@db.command("upgrade")
def db_upgrade(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to the shape this release expects (safe to run twice, and at once from several places)."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.db.migrate import current, upgrade

        before = current(database)
        with busy("upgrading the database"):
            after = upgrade(database)
        place = database.url.render_as_string(hide_password=True)
        if as_json:
            emit({"database": place, "before": before, "after": after})
        else:
            change = "is already at" if before == after else "is now at"
            out.print(f"{plain(place)} {change} revision {after}", soft_wrap=True)


@db.command("downgrade")
def db_downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to, such as 0008.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: what only later revisions store is lost.")] = False,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the database back to an earlier revision, for the release before; back it up first."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.db.migrate import current, downgrade, require_head, revisions

        require_head(database)
        if revision not in revisions():
            refuse("revision", "REVISION", f"must be one of {', '.join(revisions())}")
        if not yes:
            refuse("yes", "--yes", "must be given: what only later revisions store is lost")
        before = current(database)
        with busy("taking the database back"):
            downgrade(database, revision)
        if as_json:
            emit({"before": before, "after": revision})
        else:
            out.print(f"the database is at revision {revision} now; it was at {before}")


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Whose key it is, such as a person or a program.")],
    scope: Annotated[list[str], typer.Option(help="read, plan, train or admin; may be given more than once.")],
    expires: Annotated[str, typer.Option(help="Such as 90d or 12h; never for none.")] = "365d",
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="A limit of its own: requests a minute.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. It is shown once, now, and stored only as a hash."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from models.core import NAME_PATTERN
        from service.audit.service import console, note
        from service.db.migrate import require_head
        from service.keys.service import SCOPES, create

        if not re.fullmatch(NAME_PATTERN, name):
            refuse(
                "name",
                "NAME",
                "must be lower-case letters, digits, - or _, at most 63, beginning with a letter or digit",
            )
        unknown = sorted(set(scope) - set(SCOPES))
        if unknown:
            refuse("scope", "--scope", f"{', '.join(unknown)} is not one of {', '.join(SCOPES)}")
        age = _age(expires)
        require_head(database)
        with database.write() as session:
            key = create(session, name, scope, age, per_minute)
            note(session, console(), "key.made", key.id, name=name, scopes=list(key.scopes))
        _show_secret(key, as_json)


def _show_secret(key: NewKey, as_json: bool) -> None:
    """Show a key's secret, this once."""
    if as_json:
        emit(
            {
                "id": key.id,
                "name": key.name,
                "scopes": key.scopes,
                "expires_at": _iso(key.expires_at),
                "key": key.secret,
            }
        )
        return
    until = f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "until revoked"
    name = plain(key.name)
    err.print(f"key {key.id} for {name}: {', '.join(key.scopes)}, {until}. Keep it now; it is not shown again:")
    out.print(key.secret, soft_wrap=True)


@keys.command("rotate")
def keys_rotate(
    key_id: Annotated[str, typer.Argument(help="The key's id (key_…), as `herenow keys list` shows it.")],
    overlap: Annotated[
        str, typer.Option(help="How long the old secret still works, such as 2d or 12h; none ends it now.")
    ] = "1d",
    expires: Annotated[
        str | None, typer.Option(help="New validity from now on, such as 90d; left out, the expiry stays.")
    ] = None,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key another secret, shown once; the old one works for the overlap."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.audit.service import console, note
        from service.db.migrate import require_head
        from service.keys.service import TwoSecrets, rotate

        both = None if overlap == "none" else _age(overlap, "--overlap", "none")
        age = _age(expires) if expires is not None else None
        require_head(database)
        try:
            with database.write() as session:
                key = rotate(session, key_id, both, age)
                if key is not None:
                    note(session, console(), "key.rotated", key.id, name=key.name, overlap=overlap)
        except TwoSecrets as error:
            raise CommandError(f"{key_id} was rotated already: {error} (end that with --overlap none)") from None
        if key is None:
            raise CommandError(f"there is no valid key {plain(key_id)}", code=2)
        _show_secret(key, as_json)


def _age(text: str, option: str = "--expires", word: str = "never") -> timedelta | None:
    if text == word:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})([dh])", text)
    if not match:
        refuse(option.removeprefix("--"), option, f"must be days or hours such as 90d or 12h, or {word}")
    count = int(match[1])
    return timedelta(days=count) if match[2] == "d" else timedelta(hours=count)


@keys.command("list")
def keys_list(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List every key, without its secret."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.db.migrate import require_head
        from service.keys.service import listed

        require_head(database)
        with database.read() as session:
            rows = listed(session)
        if as_json:
            emit({"items": [{k: _iso(v) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]})
            return
        table = plain_table()
        for heading in ("id", "name", "scopes", "valid", "expires", "last used", "rotated", "per minute"):
            table.add_column(heading, no_wrap=heading == "id")  # whole, for `herenow keys revoke`
        for row in rows:
            table.add_row(
                row["id"],
                plain(row["name"]),
                " ".join(row["scopes"]),
                "yes" if row["valid"] else "no",
                _day(row["expires_at"]),
                _day(row["last_used_at"]),
                _day(row["rotated_at"]),
                str(row["requests_per_minute"] or ""),
            )
        out.print(table if rows else "no keys; make one with: herenow keys create NAME --scope plan")


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id (key_…), as `herenow keys list` shows it.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key now."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.audit.service import console, note
        from service.db.migrate import require_head
        from service.keys.service import revoke

        require_head(database)
        with database.write() as session:
            found = revoke(session, key_id)
            if found:
                note(session, console(), "key.revoked", key_id)
        if not found:
            raise CommandError(f"there is no key {plain(key_id)}", code=2)
        if as_json:
            emit({"id": key_id, "revoked": True})
        else:
            out.print(f"{key_id} is revoked")


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"
