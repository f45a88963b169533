"""The command line. Commands import what they need when they run, so `--help` and `cases` never wait for torch."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from service.cli import admin, keeping
from service.cli.aliases import alias
from service.cli.audit import audit
from service.cli.cases import cases
from service.cli.importing import import_
from service.cli.policies import evaluate, recommend
from service.cli.receipts import receipt, reproduce
from service.cli.server import serve, worker
from service.cli.training import train

app = typer.Typer(
    name="herenow",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Trains, proves and serves policies for decisions that must be taken before demand or rain is known.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"herenow {version('herenow')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of every command."""


app.command(rich_help_panel="Serve")(serve)
app.command(rich_help_panel="Serve")(worker)
app.command(rich_help_panel="Work on this machine")(cases)
app.command("import", rich_help_panel="Work on this machine")(import_)
app.command(rich_help_panel="Work on this machine")(train)
app.command(rich_help_panel="Work on this machine")(evaluate)
app.command(rich_help_panel="Work on this machine")(recommend)
app.command(rich_help_panel="Work on this machine")(receipt)
app.command(rich_help_panel="Work on this machine")(reproduce)
app.add_typer(alias, name="alias", rich_help_panel="Operate")
app.add_typer(admin.db, name="db", rich_help_panel="Operate")
app.add_typer(admin.keys, name="keys", rich_help_panel="Operate")
app.command(rich_help_panel="Operate")(audit)
app.command(rich_help_panel="Operate")(keeping.gc)
app.command(rich_help_panel="Operate")(keeping.backup)
app.command(rich_help_panel="Operate")(keeping.restore)


def main() -> None:
    """Entry point of `herenow`."""
    app()
