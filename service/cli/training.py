"""`herenow train`: an algorithm in this process, no server needed."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import CommandError, emit, err, out, plain, refuse, reported_errors
from service.cli.documents import choose_solver, parse_config, parse_duration, read_instance
from service.cli.options import ARTIFACTS, JsonOption, OutOption, SeedOption
from service.cli.progress import RunDisplay, run_callbacks
from service.cli.tables import certificate_table, places_table, targets_lines, verdict
from solvers.core import Diverged, InnerSolveError, Solver, TrainRequest

if TYPE_CHECKING:
    from models.core import Instance
    from solvers.training import TrainingOutcome


def train(
    file: Annotated[Path, typer.Argument(help="Instance as JSON; - reads standard input.", metavar="FILE")],
    solver: Annotated[str | None, typer.Option(help="Algorithm; the first that serves the problem if none.")] = None,
    config: Annotated[list[str] | None, typer.Option("--config", "-c", help="key=value of its config.")] = None,
    seed: SeedOption = None,
    time_limit: Annotated[str | None, typer.Option(help="600, 10m or PT10M for all of it; keeps the best.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads.")] = 1,
    out_folder: OutOption = ARTIFACTS,
    as_json: JsonOption = False,
) -> None:
    """Train a policy for an instance and prove it against classical rules and a bound.

    Ctrl-C ends training and keeps the best policy so far.
    """
    with reported_errors(as_json):
        problem, instance = read_instance(file)
        chosen = choose_solver(solver, problem)
        values = parse_config(chosen, config or ())
        broken = chosen.refuses(problem, instance, values)
        if broken:
            refuse(broken[0].code, "/config" + broken[0].pointer, broken[0].detail)
        seconds = parse_duration(time_limit) if time_limit else None
        request = TrainRequest(
            problem=problem,
            instance=instance,
            config=values,
            seed=secrets.randbelow(2**31) if seed is None else seed,
            device=_device(device, threads),
        )
        _report(_run(chosen, request, seconds), out_folder, as_json)


def _device(name: str, threads: int) -> str:
    if name not in ("auto", "cpu", "cuda"):
        refuse("device", "--device", "must be auto, cpu or cuda")
    import torch

    torch.set_num_threads(threads)
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise CommandError("no CUDA device: this torch sees none", code=2)
    return "cuda" if available and name != "cpu" else "cpu"


def _run(solver: Solver, request: TrainRequest, seconds: float | None) -> TrainingOutcome:
    from solvers.training import run_training

    _show_remarks(request.instance)
    words = f"training [bold]{solver.name}[/bold] on [bold]{plain(request.instance.name)}[/bold]"
    err.print(f"{words}, seed {request.seed}, {request.device}")
    try:
        with RunDisplay() as display, run_callbacks(display) as callbacks:
            return run_training(solver, request, callbacks, seconds)
    except (Diverged, InnerSolveError) as error:
        raise CommandError(f"training failed: {error}") from None


def _show_remarks(instance: Instance) -> None:
    for issue in instance.rules():
        err.print(f"[yellow]{issue.severity}[/yellow] {plain(issue.pointer)} {plain(issue.detail)}", soft_wrap=True)


def _report(outcome: TrainingOutcome, root: Path, as_json: bool) -> None:
    from solvers.artifact import folder_of

    artifact = outcome.artifact
    digest = artifact.save(root)
    rule = outcome.better_rule.save(root) if outcome.better_rule else None
    if as_json:
        words = {key: getattr(artifact, key) for key in ("problem", "solver", "family", "config", "seed", "training")}
        place = {"digest": digest, "path": str(folder_of(root, digest)), "better_rule": rule}
        emit(place | words | {"certificate": artifact.certificate})
        return
    training = artifact.training
    effort = f"{training['iterations']:,} iterations in {training['seconds']:.0f} s on {training['device']}"
    if training["ranks"] > 1:
        effort += f", by {training['ranks']} processes"
    out.print(f"\n{artifact.solver} ({artifact.family}): {effort}, {training['stopped_by'].replace('_', ' ')}\n")
    out.print(certificate_table(artifact.certificate, f"{artifact.solver} ({artifact.family})"))
    places = places_table(artifact.certificate)
    if places is not None:
        out.print(places)
    for line in targets_lines(artifact.certificate):
        out.print(line)
    out.print(verdict(artifact.certificate))
    if rule:
        out.print(f"that rule: {folder_of(root, rule)}", soft_wrap=True)
    out.print(f"\npolicy: {folder_of(root, digest)}", soft_wrap=True)
    out.print(f"[dim]next:   herenow recommend {folder_of(root, rule or digest)}", soft_wrap=True)
