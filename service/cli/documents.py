"""Files and values from the command line, turned into typed things or refused by name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.core import Instance, InvalidInput, Issue, Problem, issues_of
from models.registry import problems
from service.cli.console import CommandError, refuse
from solvers.core import Config, Solver
from solvers.registry import solvers

if TYPE_CHECKING:
    from solvers.artifact import PolicyArtifact

MAX_FILE_BYTES = 64 * 2**20
_CLOCK = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)


def read_bytes(path: Path) -> bytes:
    """A file's bytes, or standard input's for `-`; CommandError if it cannot be read."""
    try:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if str(path) == "-" else _read_file(path)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", code=2) from None
    if len(data) > MAX_FILE_BYTES:
        raise CommandError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB", code=2)
    return data


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def read_document(path: Path) -> Any:
    """The JSON document in a file (or `-`), as strict as the API: InvalidInput names the place of what is not taken."""
    from service.errors import ApiError
    from service.strict_json import parse

    try:
        return parse(read_bytes(path))
    except ApiError as error:
        if error.errors:
            raise InvalidInput([Issue(error.slug, "error", e.pointer, e.detail) for e in error.errors]) from None
        raise InvalidInput([Issue(error.slug, "error", "", error.detail)]) from None


def read_words(pairs: Iterable[str] | None) -> dict[str, str]:
    """Words from `name=word`, each name once; InvalidInput otherwise."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, word = pair.partition("=")
        if not equals or not name or name in found:
            refuse("part", name or pair, "give every part once, as name=value")
        found[name] = word
    return found


def read_parts(pairs: Iterable[str]) -> dict[str, bytes]:
    """Files from `name=path`, each name once; InvalidInput or CommandError otherwise."""
    return {name: read_bytes(Path(path)) for name, path in read_words(pairs).items()}


def read_instance(path: Path) -> tuple[Problem, Instance]:
    """The typed instance in a file and the problem it is of; InvalidInput names every field and rule broken."""
    document = read_document(path)
    name = document.get("problem") if isinstance(document, dict) else None
    known = problems()
    if not isinstance(name, str) or name not in known:
        refuse("unknown_problem", "/problem", f"must be one of: {', '.join(known)}")
    return known[name], known[name].parse(document)


def choose_solver(name: str | None, problem: Problem) -> Solver:
    """The solver of that name, or the first that trains policies for the problem; InvalidInput says why not."""
    known = solvers()
    serving = [s for s in known.values() if s.kind == "train" and not s.reasons_against(problem)]
    names = ", ".join(s.name for s in serving) or "none"
    if name is None:
        if not serving:
            refuse("no_solver", "--solver", f"no solver trains policies for {problem.name}")
        return serving[0]
    if name not in known:
        refuse("unknown_solver", "--solver", f"there is none of that name; for {problem.name}: {names}")
    solver = known[name]
    if solver.kind != "train":
        refuse("not_a_training", "--solver", f"{name} gives a plan or a bound, not a policy; choose from: {names}")
    reasons = solver.reasons_against(problem)
    if reasons:
        refuse("solver_not_serving", "--solver", f"{name} does not serve {problem.name}: {'; '.join(reasons)}")
    return solver


def parse_config(solver: Solver, pairs: Iterable[str]) -> Config:
    """The solver's config from `key=value` words; values are JSON where they can be, words otherwise."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            refuse("config_word", "--config", f"{pair!r} is not of the form key=value")
        if key in values:
            refuse("config_word", f"/config/{key}", "is given more than once")
        values[key] = _value(text)
    try:
        return solver.config.model_validate(values)
    except ValidationError as error:
        raise InvalidInput(issues_of(error, "/config")) from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_duration(text: str) -> float:
    """Seconds from `600`, `10m`, `1h30m`, `45s` or ISO-8601 `PT10M`; InvalidInput for anything else."""
    plain = text.strip()
    clock = plain[2:] if plain[:2].upper() == "PT" else plain
    match = _CLOCK.fullmatch(clock)
    if re.fullmatch(r"\d{1,9}(\.\d+)?", plain):
        seconds = float(plain)
    elif clock and len(clock) <= 40 and match:
        seconds = sum(float(part or 0) * size for part, size in zip(match.groups(), (3600, 60, 1), strict=True))
    else:
        seconds = 0.0
    if seconds <= 0:
        refuse("duration", "--time-limit", "must be a duration above zero, such as 600, 10m or PT10M")
    return seconds


def load_artifact(place: str, root: Path) -> PolicyArtifact:
    """A policy artifact by its folder, or by its digest `sha256:…` below `root`; CommandError if there is none."""
    from solvers.artifact import ArtifactError, PolicyArtifact

    if place.startswith("sha256:"):
        digest = place
    else:
        folder = Path(place).expanduser().absolute()
        root, digest = folder.parent.parent, f"sha256:{folder.name}"
    try:
        return PolicyArtifact.load(root, digest)
    except (ArtifactError, ValueError) as error:
        raise CommandError(f"{place} is no policy artifact: {error}", code=2) from None
