"""`herenow cases`: the ready-made instances of every problem."""

from __future__ import annotations

from typing import Annotated

import typer

from models.core import Problem
from models.registry import problems
from service.cli.console import emit, out, plain, refuse, reported_errors
from service.cli.tables import plain_table


def cases(
    problem: Annotated[str | None, typer.Argument(help="A problem's name; every problem if left out.")] = None,
    name: Annotated[str | None, typer.Argument(help="An example's name: print it, ready for `train -`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for machines.")] = False,
) -> None:
    """List the example instances, or print one as JSON."""
    with reported_errors(as_json):
        known = problems()
        if problem is not None and problem not in known:
            refuse("unknown_problem", "PROBLEM", f"there is none of that name; choose from: {', '.join(known)}")
        chosen = [known[problem]] if problem else list(known.values())
        if name is not None:
            examples = {example.name: example for example in chosen[0].examples}
            if name not in examples:
                refuse("unknown_case", "NAME", f"there is none of that name; choose from: {', '.join(examples)}")
            emit(examples[name].document())
            return
        rows = [
            {"problem": p.name, "name": e.name, "title": e.title, "source": e.source}
            for p in chosen
            for e in p.examples
        ]
        if as_json:
            emit({"items": rows})
            return
        for one in chosen:
            _list(one)
        out.print("[dim]print one with: herenow cases PROBLEM CASE[/dim]")


def _list(problem: Problem) -> None:
    table = plain_table(f"[bold]{plain(problem.name)}[/bold]")
    table.add_column("case", no_wrap=True)
    table.add_column("what it is")
    table.add_column("source", style="dim")
    for example in problem.examples:
        table.add_row(plain(example.name), plain(example.title), plain(example.source))
    out.print(table)
