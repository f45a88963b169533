"""`herenow audit`: who changed what, read from the database."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Annotated, Any, get_args

import typer

from service.cli.admin import opened
from service.cli.console import emit, out, plain, refuse, reported_errors
from service.cli.options import DataDirOption, JsonOption
from service.cli.tables import plain_table


def audit(
    actor: Annotated[str | None, typer.Option(help="Only by this key (key_…), `local` or `console`.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="Only this action; may be given more than once.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this id or `name@alias`.")] = None,
    since: Annotated[str | None, typer.Option(help="Only the last of this, such as 7d or 12h.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most entries shown, newest first.")] = 50,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who submitted, promoted, judged, deleted, and who made, rotated or revoked keys."""
    with reported_errors(as_json), opened(data_dir) as (_, database):
        from service.audit import repository
        from service.audit.schemas import Action
        from service.audit.service import shown
        from service.db.migrate import require_head
        from service.db.rows import AuditRow, utcnow

        known = get_args(Action)
        for word in action or ():
            if word not in known:
                refuse("action", "--action", f"{word} is not one of {', '.join(known)}")
        after = utcnow() - _age(since) if since is not None else None
        require_head(database)
        query = repository.matching(actor, action or (), subject, after, None)
        with database.read() as session:
            rows = [shown(row) for row in session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))]
        if as_json:
            emit({"items": [{**row, "at": row["at"].isoformat().replace("+00:00", "Z")} for row in rows]})
            return
        _print(rows)


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d{0,4})([dh])", text)
    if not match:
        refuse("since", "--since", "must be days or hours such as 7d or 12h")
    return timedelta(days=int(match[1])) if match[2] == "d" else timedelta(hours=int(match[1]))


def _print(rows: list[dict[str, Any]]) -> None:
    table = plain_table()
    for heading in ("at (UTC)", "who", "did", "to", "detail"):
        table.add_column(heading, no_wrap=heading in ("at (UTC)", "to"))
    for row in rows:
        at: datetime = row["at"]
        who = row["actor_name"] if row["actor"] == row["actor_name"] else f"{row['actor_name']} ({row['actor']})"
        detail = ", ".join(f"{key} {_short(value)}" for key, value in row["detail"].items() if value is not None)
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", plain(who), row["action"], plain(row["subject"]), plain(detail))
    out.print(table if rows else "nothing that fits")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
