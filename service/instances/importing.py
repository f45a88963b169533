"""Files that become an instance: which formats a problem reads, and how a form names its parts."""

from __future__ import annotations

from collections.abc import Mapping

from models.core import Importer, Instance, Problem
from models.registry import problems
from service.errors import field_error
from service.forms import Form, check_parts

_OWN = ("problem", "format")


def read(form: Form) -> Instance:
    """The typed instance of a form.

    ApiError 422 names a form field that is unknown, missing or not taken; `InvalidInput` what is wrong inside a file,
    or with the instance they make together.
    """
    problem = _problem(form.words)
    importer = _importer(problem, form.words)
    options = check_parts(importer.name, importer.files, importer.options, form, _OWN)
    return problem.parse(importer.read(form.files, options))


def _problem(words: Mapping[str, str]) -> Problem:
    known = problems()
    if words.get("problem") not in known:
        raise field_error("/problem", f"Name one of the problems this service knows: {', '.join(sorted(known))}.")
    return known[words["problem"]]


def _importer(problem: Problem, words: Mapping[str, str]) -> Importer:
    for importer in problem.importers:
        if importer.name == words.get("format"):
            return importer
    names = ", ".join(importer.name for importer in problem.importers)
    detail = f"Formats that {problem.name} reads: {names}." if names else f"{problem.name} reads no files."
    raise field_error("/format", detail)
