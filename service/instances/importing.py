"""Files that become an instance: which formats a problem reads, and how a form names its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from models.core import Importer, Instance, InvalidInput, Issue, Problem, canonical_json, pointer
from models.registry import problems
from service.errors import field_error
from service.requests import Form

_OWN = ("problem", "format")


def content_of(form: Form) -> bytes:
    """The form's content, the same for equal forms whatever boundary a client chose."""
    files = {name: hashlib.sha256(data).hexdigest() for name, data in form.files.items()}
    return canonical_json({"words": dict(form.words), "files": files})


def read(form: Form) -> Instance:
    """The typed instance of a form.

    ApiError 422 names a form field that is unknown, missing or not taken; `InvalidInput` what is wrong inside a file,
    or with the instance they make together.
    """
    problem = _problem(form.words)
    importer = _importer(problem, form.words)
    _check_parts(importer, form)
    options = {name: word for name, word in form.words.items() if name not in _OWN}
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


def _check_parts(importer: Importer, form: Form) -> None:
    """Every file and word is one the format knows, and no required file is missing."""
    known = {name.removesuffix("?") for name in importer.files}
    issues = [
        Issue("unknown_part", "error", pointer(name), f"{importer.name} takes the files {', '.join(sorted(known))}")
        for name in form.files
        if name not in known
    ]
    issues += [
        Issue("missing", "error", pointer(name), f"is missing: {meaning}")
        for name, meaning in importer.files.items()
        if not name.endswith("?") and name not in form.files
    ]
    options = ", ".join(sorted(importer.options)) or "none"
    issues += [
        Issue("unknown_option", "error", pointer(name), f"options of {importer.name}: {options}; send files as files")
        for name in form.words
        if name not in _OWN and name not in importer.options
    ]
    if issues:
        raise InvalidInput(issues)
