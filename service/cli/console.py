"""What every command prints through: tables and progress for people, JSON for machines, errors that name the field."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape

from models.core import InvalidInput, Issue

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

BAD_INPUT = 2  # exit code: the command, a file or a value was wrong
FAILED = 1  # exit code: the input was right and the work failed


class CommandError(Exception):
    """A command cannot go on; the message is for the person at the terminal."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        self.code = code
        super().__init__(message)


def refuse(rule: str, pointer: str, detail: str) -> NoReturn:
    """End the command because of one wrong value: which rule, where (JSON Pointer or option), what to do."""
    raise InvalidInput([Issue(rule, "error", pointer, detail)])


def emit(document: Any) -> None:
    """Print one JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


@contextmanager
def reported_errors(as_json: bool) -> Iterator[None]:
    """Turn the errors a person can mend into a message and an exit code; anything else is a bug and keeps its trace."""
    try:
        yield
    except InvalidInput as error:
        _print_issues(error.issues, as_json)
        raise SystemExit(BAD_INPUT) from None
    except CommandError as error:
        if as_json:
            sys.stderr.write(json.dumps({"error": str(error)}, ensure_ascii=False) + "\n")
        else:
            err.print(f"[red]error[/red] {plain(str(error))}", soft_wrap=True)
        raise SystemExit(error.code) from None


@contextmanager
def busy(what: str, console: Console = err) -> Iterator[None]:
    """A spinner while something takes a while; one line where the terminal cannot redraw."""
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status(what):
            yield
    else:
        console.print(f"[dim]{what}")
        yield


def _print_issues(issues: list[Issue], as_json: bool) -> None:
    if as_json:
        rows = [{"code": i.code, "severity": i.severity, "pointer": i.pointer, "detail": i.detail} for i in issues]
        sys.stderr.write(json.dumps({"error": "invalid input", "issues": rows}, ensure_ascii=False) + "\n")
        return
    for issue in issues:
        colour = "red" if issue.severity == "error" else "yellow"
        place = issue.pointer or "/"
        err.print(
            f"[{colour}]{issue.severity}[/{colour}] [bold]{plain(place)}[/bold] {plain(issue.detail)} "
            f"[dim]({plain(issue.code)})[/dim]",
            soft_wrap=True,
        )


def plain(text: str) -> str:
    """User text as it is: no square bracket in it is read as markup, and no control character reaches the terminal."""
    visible = "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)
    return escape(visible)
