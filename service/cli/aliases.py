"""`herenow alias`: which version of a policy on a server is in use for what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import CommandError, emit, out, plain, refuse, reported_errors
from service.cli.options import JsonOption
from service.cli.tables import plain_table

if TYPE_CHECKING:
    from service.client import Client
    from service.client.records import AliasView

alias = typer.Typer(no_args_is_help=True, help="Which version of a policy on a server is in use for what.")

Name = Annotated[str, typer.Argument(help="The policy's name.")]
Word = Annotated[str, typer.Argument(help="What it is in use for, such as production.")]
Server = Annotated[str, typer.Option(envvar="HERENOW_SERVER", help="Address of the Herenow.")]
Key = Annotated[str | None, typer.Option(envvar="HERENOW_API_KEY", help="API key for it.")]


@alias.command("list")
def alias_list(name: Name, server: Server, key: Key = None, as_json: JsonOption = False) -> None:
    """The aliases of a policy and the versions they name."""
    from service.cli.remote import connected, document

    with reported_errors(as_json):
        with connected(server, key) as herenow:
            items = [document(item) for item in herenow.aliases.list(_checked(name))]
        if as_json:
            emit({"items": items})
            return
        table = plain_table()
        for heading in ("alias", "version", "since", "note"):
            table.add_column(heading)
        for item in items:
            policy = item["policy"]
            row = (item["alias"], str(policy["version"]), item["updated_at"][:16], item["note"] or "")
            table.add_row(*map(plain, row))
        out.print(table)


@alias.command("set")
def alias_set(
    name: Name,
    word: Word,
    version: Annotated[int, typer.Argument(min=1, help="The version it is to name.")],
    server: Server,
    note: Annotated[str | None, typer.Option(help="Why.")] = None,
    key: Key = None,
    as_json: JsonOption = False,
) -> None:
    """Let an alias name a version; refused if somebody moves it at the same time, or a test that guards it is open."""
    from service.cli.remote import connected, document

    with reported_errors(as_json):
        with connected(server, key) as herenow:
            seen = _seen(herenow, name, word)
            found = document(herenow.aliases.put(name, word, version, seen=seen, note=note))
        _tell(as_json, found, f"{name}@{word} is version {found['policy']['version']}")


@alias.command("remove")
def alias_remove(name: Name, word: Word, server: Server, key: Key = None, as_json: JsonOption = False) -> None:
    """Remove an alias; the version it named stays."""
    from service.cli.remote import connected

    with reported_errors(as_json):
        with connected(server, key) as herenow:
            seen = _seen(herenow, name, word)
            if seen is None:
                raise CommandError(f"there is no alias {name}@{word}", code=2)
            herenow.aliases.delete(name, word, seen=seen)
        _tell(as_json, {"removed": f"{name}@{word}"}, f"{name}@{word} is removed")


def _seen(herenow: Client, name: str, word: str) -> AliasView | None:
    """The alias as it stands; None if there is none."""
    _checked(word)
    return next((item for item in herenow.aliases.list(_checked(name)) if item.alias == word), None)


def _checked(word: str) -> str:
    """A name that may stand in a path."""
    import re

    from models.core import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, word):
        refuse(
            "name", "NAME", "names are lower-case letters, digits, - or _, at most 63, beginning with letter or digit"
        )
    return word


def _tell(as_json: bool, document: Mapping[str, Any], sentence: str) -> None:
    if as_json:
        emit(document)
    else:
        out.print(plain(sentence))
