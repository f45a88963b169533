"""`herenow evaluate` and `herenow recommend`: trained policies judged, and asked for decisions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from models.core import Instance, InvalidInput, Issue, Problem
from models.registry import problems
from service.cli.console import BAD_INPUT, CommandError, emit, err, out, plain, refuse, reported_errors
from service.cli.documents import load_artifact, parse_duration, read_document, read_instance, read_parts, read_words
from service.cli.options import ARTIFACTS, JsonOption, OutOption, SeedOption
from service.cli.progress import RunDisplay, run_callbacks
from service.cli.tables import decision_table, evaluation_table

if TYPE_CHECKING:
    from solvers.artifact import PolicyArtifact
    from solvers.serving import ServedPolicy


def evaluate(
    policies: Annotated[list[str], typer.Argument(help="Artifact folders or digests.", metavar="POLICY…")],
    instance_file: Annotated[Path | None, typer.Option("--instance", help="Another than the first's own.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Classical rule beside them; all that fit if none.")] = None,
    scenarios: Annotated[int, typer.Option(min=16, max=65_536, help="The same for every policy.")] = 4096,
    seed: SeedOption = None,
    time_limit: Annotated[str, typer.Option(help="600, 10m or PT10M for all of it.")] = "2m",
    out_folder: OutOption = ARTIFACTS,
    as_json: JsonOption = False,
) -> None:
    """Compare policies with classical rules and the bound on common random numbers."""
    with reported_errors(as_json):
        artifacts = _named(policies, out_folder)
        problem, instance = _common_instance(list(artifacts.values()), instance_file)
        rules = _rules(problem, instance, rule)
        seconds = parse_duration(time_limit)
        document = _evaluate(artifacts, rules, problem, instance, scenarios, seed, seconds)
        if as_json:
            emit(document)
        else:
            out.print(evaluation_table(document))


def _named(places: Sequence[str], root: Path) -> dict[str, PolicyArtifact]:
    """The artifacts by a short name: the solver's, with the digest's beginning where that alone is not enough."""
    loaded = [
        (place.rstrip("/").replace(":", "/").rsplit("/", 1)[-1][:8], load_artifact(place, root)) for place in places
    ]
    solvers = [artifact.solver for _, artifact in loaded]
    return {a.solver if solvers.count(a.solver) == 1 else f"{a.solver} {digest}": a for digest, a in loaded}


def _common_instance(artifacts: Sequence[PolicyArtifact], file: Path | None) -> tuple[Problem, Instance]:
    names = sorted({artifact.problem for artifact in artifacts})
    if len(names) > 1:
        raise CommandError(f"these policies are of different problems: {', '.join(names)}", BAD_INPUT)
    if file is None:
        problem = problems()[names[0]]
        return problem, problem.parse(artifacts[0].instance)
    problem, instance = read_instance(file)
    if problem.name != names[0]:
        refuse("other_problem", "/problem", f"is {problem.name}; the policies are of {names[0]}")
    return problem, instance


def _rules(problem: Problem, instance: Instance, wanted: Sequence[str] | None) -> list[str]:
    fitting = [family.name for family in problem.rules_for(instance)]
    for name in wanted or ():
        if name not in fitting:
            refuse("unknown_rule", "--rule", f"does not fit this instance; choose from: {', '.join(fitting) or 'none'}")
    return fitting if wanted is None else list(wanted)


def _evaluate(
    artifacts: Mapping[str, PolicyArtifact],
    rules: Sequence[str],
    problem: Problem,
    instance: Instance,
    scenarios: int,
    seed: int | None,
    seconds: float,
) -> dict[str, Any]:
    from solvers.training import run_evaluation

    seed = secrets.randbelow(2**31) if seed is None else seed
    err.print(f"evaluating on [bold]{plain(instance.name)}[/bold], seed {seed}")
    try:
        with RunDisplay() as display, run_callbacks(display) as callbacks:
            return run_evaluation(artifacts, rules, problem, instance, scenarios, seed, callbacks, seconds).document
    except ValueError as error:
        raise CommandError(str(error), BAD_INPUT) from None


def recommend(
    policy: Annotated[str, typer.Argument(help="Artifact folder or digest; with --server a policy's id or name.")],
    state: Annotated[Path | None, typer.Option(help="State as JSON, - for standard input; today's if none.")] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Part of a state as a file, NAME=PATH, such as on_hand=stock.csv.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="How files are read, NAME=WORD, such as period=3.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why.")] = False,
    server: Annotated[str | None, typer.Option(envvar="HERENOW_SERVER", help="Ask this Herenow's policy.")] = None,
    key: Annotated[str | None, typer.Option(envvar="HERENOW_API_KEY", help="API key for --server.")] = None,
    out_folder: OutOption = ARTIFACTS,
    as_json: JsonOption = False,
) -> None:
    """Recommended decisions for a state, from an artifact here or a policy on a server."""
    with reported_errors(as_json):
        if state and file:
            refuse("state", "--state", "give a state or files of it, not both")
        document = read_document(state) if state else None
        if server:
            from service.cli.remote import recommend_remotely, state_of_files

            if file:
                document = state_of_files(server, key, policy, read_parts(file), read_words(option))
            recommend_remotely(server, key, policy, document, explain, as_json)
            return
        from service.forms import Form, check_parts
        from solvers.serving import ServedPolicy

        served = ServedPolicy(load_artifact(policy, out_folder))
        if file:
            form = Form(read_words(option), read_parts(file))
            words = check_parts("a state", served.view.state_files, served.view.state_options, form)
            document = served.view.read_files(form.files, words)
        answer = _ask(served, served.view.today() if document is None else document, explain)
        if as_json:
            emit(answer)
            return
        out.print(decision_table(served.view.columns, answer["decision"][served.view.lines_key]))
        _show_remarks(answer)


def _ask(served: ServedPolicy, state: object, explain: bool) -> dict[str, Any]:
    try:
        return served.recommend([state], explain=explain)[0]
    except InvalidInput as error:  # pointers say /row/…, and here is one row
        issues = [Issue(i.code, i.severity, i.pointer.removeprefix("/0"), i.detail) for i in error.issues]
        raise InvalidInput(issues) from None


def _show_remarks(answer: Mapping[str, Any]) -> None:
    for sentence in answer["why"]:
        out.print(plain(sentence))
    for repair in answer["repairs"]:
        moved = f"from {repair['proposed']:.4g} to {repair['feasible']:.4g}"
        out.print(f"[yellow]moved[/yellow] {plain(repair['field'])} {moved}: {plain(repair['rule'])}", soft_wrap=True)
    for warning in answer["warnings"]:
        out.print(f"[yellow]warning[/yellow] {plain(warning)}", soft_wrap=True)
