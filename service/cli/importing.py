"""`herenow import`: files (a published format, CSV) turned into an instance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from models.core import Importer, Problem
from models.registry import problems
from service.cli.console import emit, err, out, plain, refuse, reported_errors
from service.cli.documents import read_bytes, read_words
from service.cli.options import JsonOption
from service.cli.tables import plain_table


def import_(
    file_format: Annotated[str | None, typer.Argument(metavar="FORMAT", help="A format; lists them if none.")] = None,
    parts: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE…", help="Files and options of the format, by name.")
    ] = None,
    problem: Annotated[str | None, typer.Option(help="The problem, where several read the format.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an instance of files and print it, ready for `train -`."""
    with reported_errors(as_json):
        if file_format is None:
            _list(as_json)
            return
        chosen, importer = _choose(file_format, problem)
        files, options = _parts(importer, parts or [])
        instance = chosen.parse(importer.read(files, options))
        for issue in instance.rules():
            err.print(
                f"[yellow]{issue.severity}[/yellow] {plain(issue.pointer)}: {plain(issue.detail)}", soft_wrap=True
            )
        emit(instance.document())


def _choose(file_format: str, name: str | None) -> tuple[Problem, Importer]:
    known = problems()
    if name is not None and name not in known:
        refuse("unknown_problem", "--problem", f"there is none of that name; choose from: {', '.join(known)}")
    found = [
        (problem, importer)
        for problem in ([known[name]] if name else known.values())
        for importer in problem.importers
        if importer.name == file_format
    ]
    if not found:
        names = ", ".join(importer.name for problem in known.values() for importer in problem.importers) or "none"
        refuse("unknown_format", "FORMAT", f"there is none of that name; formats: {names}")
    if len(found) > 1:
        names = ", ".join(problem.name for problem, _ in found)
        refuse("ambiguous_format", "--problem", f"several problems read it; name one of: {names}")
    return found[0]


def _parts(importer: Importer, words: list[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files and options by name; an unknown name is refused as an option."""
    from service.forms import Form, check_parts

    given = read_words(words)
    known = {name.removesuffix("?") for name in importer.files}
    files = {name: read_bytes(Path(value)) for name, value in given.items() if name in known}
    options = {name: value for name, value in given.items() if name not in known}
    return files, check_parts(importer.name, importer.files, importer.options, Form(options, files))


def _list(as_json: bool) -> None:
    rows = [(problem, importer) for problem in problems().values() for importer in problem.importers]
    if as_json:
        items = [
            {"problem": p.name, "format": i.name, "title": i.title, "files": dict(i.files), "options": dict(i.options)}
            for p, i in rows
        ]
        emit({"items": items})
        return
    table = plain_table("[bold]formats[/bold]")
    for heading in ("format", "problem", "files and options"):
        table.add_column(heading, no_wrap=heading != "files and options")
    for p, i in rows:
        lines = [f"{name}: {text}" for name, text in (*i.files.items(), *i.options.items())]
        table.add_row(plain(i.name), plain(p.name), plain("\n".join([i.title, *lines])))
    out.print(table)
    out.print("[dim]a name ending in ? may be left out; import with: herenow import FORMAT NAME=FILE …[/dim]")
