"""`herenow receipt` and `herenow reproduce`: what a policy was made from, and making it again to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from service.cli.console import BAD_INPUT, CommandError, emit, err, out, plain, reported_errors
from service.cli.documents import load_artifact
from service.cli.options import ARTIFACTS, JsonOption, OutOption
from service.cli.progress import RunDisplay, run_callbacks
from service.cli.tables import plain_table

if TYPE_CHECKING:
    from solvers.artifact import PolicyArtifact

Policy = Annotated[str, typer.Argument(help="Artifact folder or digest; with --server a policy's id or name.")]
Server = Annotated[str | None, typer.Option(envvar="HERENOW_SERVER", help="Ask this Herenow's policy.")]
Key = Annotated[str | None, typer.Option(envvar="HERENOW_API_KEY", help="API key for --server.")]

VERDICTS = {
    "identical": "[green]the same policy, bit by bit[/green]",
    "same_cost": "[yellow]other weights, but the costs cannot be told apart[/yellow]",
    "other_cost": "[red]another policy, of another cost[/red]",
}


def receipt(
    policy: Policy,
    server: Server = None,
    key: Key = None,
    out_folder: OutOption = ARTIFACTS,
    as_json: JsonOption = False,
) -> None:
    """What a policy was made from: instance, seed, code, dependencies, device."""
    with reported_errors(as_json):
        found = _receipt_on(server, key, policy) if server else load_artifact(policy, out_folder).receipt
        if found is None:
            raise CommandError(f"{policy} was made before receipts were kept", BAD_INPUT)
        if as_json:
            emit(found)
        else:
            out.print(receipt_table(found))


def _receipt_on(server: str, key: str | None, ref: str) -> Mapping[str, Any] | None:
    from service.cli.remote import connected, document

    with connected(server, key) as herenow:
        found = herenow.policies.get(ref).receipt
    return None if found is None else document(found)


def reproduce(
    policy: Policy,
    server: Server = None,
    key: Key = None,
    out_folder: OutOption = ARTIFACTS,
    as_json: JsonOption = False,
) -> None:
    """Train a policy again from its receipt and compare: weights bit by bit, certificates, what differs by now."""
    with reported_errors(as_json):
        if server:
            found = _reproduced_on(server, key, policy)
        else:
            found = _reproduced_here(load_artifact(policy, out_folder))
        if as_json:
            emit(found)
        else:
            report(found)


def _reproduced_on(server: str, key: str | None, ref: str) -> Mapping[str, Any]:
    from service.cli.remote import connected

    with connected(server, key) as herenow, RunDisplay() as display:
        job = herenow.jobs.wait(herenow.policies.reproduce(ref), on_progress=display.update)
        extra: Mapping[str, Any] = herenow.jobs.result(job).model_extra or {}
    found: Mapping[str, Any] = extra["reproduction"]
    return found


def _reproduced_here(artifact: PolicyArtifact) -> Mapping[str, Any]:
    from solvers.core import Diverged, InnerSolveError
    from solvers.reproduction import CannotReproduce, CutShort, reproduce, request_of

    try:
        request = request_of(artifact)
        err.print(f"training [bold]{artifact.solver}[/bold] again, seed {request.seed}, {request.device}")
        with RunDisplay() as display, run_callbacks(display) as callbacks:
            return reproduce(artifact, request, callbacks).document
    except CannotReproduce as error:
        raise CommandError(f"the policy cannot be made again: {error}", BAD_INPUT) from None
    except (CutShort, Diverged, InnerSolveError) as error:
        raise CommandError(f"the policy was not made again: {error}") from None


def receipt_table(found: Mapping[str, Any]) -> Table:
    """A receipt in lines."""
    code, needed, on = found["code"], found["dependencies"], found["platform"]
    ran = f"{found['steps']:,} steps, {found['stopped_by'].replace('_', ' ')}"
    device = on["gpu"] or on["cpu"]
    rows = {
        "instance": found["instance"],
        "also on": ", ".join(found["also"]),
        "started from": found["warm_start"] or "",
        "solver": f"{found['solver']}, seed {found['seed']}",
        "ran": ran + (", from a checkpoint" if found["resumed"] else ""),
        "weights": found["weights"],
        "code": f"{code['digest']}" + (f", commit {code['commit'][:12]}" if code["commit"] else ""),
        "dependencies": f"{needed['digest']}, {len(needed['packages'])} packages",
        "on": f"{on['device']}: {device}, {on['threads']} threads, {on['instructions']}, {on['blas']}",
        "with": f"Python {on['python']}, torch {needed['packages'].get('torch', '?')}, {on['system']}",
    }
    table = plain_table()
    table.add_column("receipt", no_wrap=True, style="dim")
    table.add_column("")
    for name, value in rows.items():
        if value:
            table.add_row(name, plain(value))
    return table


def report(found: Mapping[str, Any]) -> None:
    """Print what a reproduction found."""
    weights = found["weights"]
    out.print(VERDICTS[found["verdict"]])
    if not weights["identical"]:
        most = weights["largest_difference"]
        told = "they do not fit each other" if most is None else f"largest difference {most:.3g}"
        out.print(f"weights: {told} (in {plain(weights['where'])})")
    if found["difference"]:
        out.print(f"on the same scenarios it costs {_interval(found['difference'])} more")
    table = plain_table()
    table.add_column("certificate", no_wrap=True)
    for heading in ("then", "now", "now less then (95 %)"):
        table.add_column(heading, justify="right")
    for row in found["certificate"]:
        sides = [f"{row[side]['value']:,.4f}" if row[side] else "–" for side in ("then", "now")]
        table.add_row(plain(row["name"].replace("_", " ")), *sides, _interval(row["difference"]))
    out.print(table)
    for row in found["receipt"]:
        out.print(f"[yellow]differs[/yellow] {row['part']} {plain(row['name'])}: {row['then']} then, {row['now']} now")
    for remark in found["remarks"]:
        out.print(plain(remark))


def _interval(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return "–"
    low, high = difference["ci95"]
    return f"{difference['mean']:,.4g} ({low:,.4g} to {high:,.4g})"
