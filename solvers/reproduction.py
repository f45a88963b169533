"""Making a policy again from its receipt, and comparing: weights bit by bit, certificates, and what differs by now."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.core import Instance
from models.lazy import torch
from models.registry import problems
from solvers.artifact import ArtifactError, PolicyArtifact
from solvers.core import Callbacks, TrainRequest
from solvers.draws import scenario_seed
from solvers.evaluation import Z95, InfeasibleDecision, compare, paired_difference
from solvers.receipt import FORMAT, Receipt, differences, weights_digest
from solvers.registry import solvers

if TYPE_CHECKING:
    from torch import Tensor

PAIRED_SCENARIOS = 4096  # on which policies of other weights are compared
PAIRED_SECONDS = 30.0  # that this takes at most


class CannotReproduce(ValueError):
    """The run cannot be made again; the text says what is missing."""


class CutShort(RuntimeError):
    """The repetition was stopped before it had done as many steps as the first run."""


@dataclass(frozen=True)
class Reproduction:
    """What a repetition found (`document`) and the policy it made."""

    document: dict[str, Any]
    artifact: PolicyArtifact


def request_of(
    artifact: PolicyArtifact, also: Sequence[Instance] = (), warm_start: Mapping[str, Tensor] | None = None
) -> TrainRequest:
    """The training that made the artifact, to be run again on the same kind of device if there is one.

    Raises:
        CannotReproduce: there is no receipt, it is of a tuned rule, or what it names is not what is here.
    """
    receipt = receipt_in(artifact.receipt)
    problem, solver = problems().get(artifact.problem), solvers().get(receipt["solver"])
    if problem is None or solver is None:
        raise CannotReproduce(f"this version has no {artifact.problem if problem is None else receipt['solver']!r}")
    instance = problem.parse(artifact.instance)
    given = [instance.digest, *(other.digest for other in also)]
    if given != [receipt["instance"], *receipt["also"]]:
        raise CannotReproduce("the instances are not those it was trained on, or are read otherwise by this version")
    if (None if warm_start is None else weights_digest(warm_start)) != receipt["warm_start"]:
        raise CannotReproduce("the weights its training started from are not here")
    try:
        config = solver.config.model_validate(receipt["config"])
    except ValidationError as error:
        raise CannotReproduce(f"{solver.name} no longer takes its configuration: {error.errors()[0]['msg']}") from None
    return TrainRequest(
        problem,
        instance,
        config,
        receipt["seed"],
        device=_device(receipt),
        warm_start=warm_start,
        also=tuple(also),
        until=receipt["steps"],
    )


def receipt_in(found: Receipt | None) -> Receipt:
    """A receipt that a training can be made again from; CannotReproduce says why there is none."""
    if found is None:
        raise CannotReproduce("the policy was made before receipts were kept")
    if found["format"] != FORMAT:
        raise CannotReproduce(f"its receipt is of format {found['format']}, which this version does not read")
    if found["of_rule"]:
        raise CannotReproduce("it is a classical rule that was tuned beside a training: reproduce the trained policy")
    return found


def _device(receipt: Receipt) -> str:
    recorded: str = receipt["platform"]["device"]
    return recorded if recorded == "cpu" or torch.cuda.is_available() else "cpu"


def reproduce(artifact: PolicyArtifact, request: TrainRequest, callbacks: Callbacks) -> Reproduction:
    """Run the training of `request_of` again, with the threads of the first run, and compare what comes of it.

    Raises:
        CutShort: a stop was asked for before the first run's steps were done.
    """
    from solvers.training import run_training

    then = receipt_in(artifact.receipt)
    before = torch.get_num_threads()
    torch.set_num_threads(then["platform"]["threads"])
    try:
        again = run_training(solvers()[then["solver"]], request, callbacks, then["time_limit"]).artifact
    finally:
        torch.set_num_threads(before)
    now = again.receipt
    assert now is not None, "run_training writes one"
    if now["steps"] < then["steps"] and callbacks.should_stop():
        raise CutShort(f"it was stopped after {now['steps']} of {then['steps']} steps")
    return Reproduction(compared(artifact, again, callbacks), again)


def compared(first: PolicyArtifact, again: PolicyArtifact, callbacks: Callbacks) -> dict[str, Any]:
    """How two runs of one receipt differ.

    `verdict`: `identical` weights; else `same_cost` where the interval of the paired difference covers zero, and
    `other_cost` where it does not.
    """
    then, now = first.receipt, again.receipt
    assert then is not None, "it was reproduced from its receipt"
    assert now is not None, "run_training writes one"
    weights = weights_compared(first.weights, again.weights)
    difference = None if weights["identical"] else _paired(first, again, callbacks)
    return {
        "verdict": _verdict(weights["identical"], difference),
        "weights": weights | {"then": then["weights"], "now": now["weights"]},
        "difference": difference,
        "steps": {"then": then["steps"], "now": now["steps"]},
        "certificate": certificates_compared(first.certificate, again.certificate),
        "receipt": differences(then, now),
        "remarks": _remarks(then, now),
    }


def _verdict(is_identical: bool, difference: Mapping[str, Any] | None) -> str:
    if is_identical:
        return "identical"
    if difference is None:
        return "other_cost"
    low, high = difference["ci95"]
    return "same_cost" if low <= 0 <= high else "other_cost"


def weights_compared(then: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> dict[str, Any]:
    """Whether tensors are the same bit by bit; else the largest difference of two numbers, and where."""
    names = sorted({*then, *now})
    misfits = [name for name in names if name not in then or name not in now or then[name].shape != now[name].shape]
    if misfits:
        return {"identical": False, "tensors": len(names), "largest_difference": None, "where": misfits[0]}
    if weights_digest(then) == weights_digest(now):
        return {"identical": True, "tensors": len(names), "largest_difference": 0.0, "where": None}
    gaps = {name: _gap(then[name], now[name]) for name in names}
    where = max(gaps, key=lambda name: gaps[name])
    largest = gaps[where] if math.isfinite(gaps[where]) else None
    return {"identical": False, "tensors": len(names), "largest_difference": largest, "where": where}


def _gap(then: Tensor, now: Tensor) -> float:
    """Largest absolute difference of two tensors of one shape; infinite where only one of them is not a number."""
    if not then.numel():
        return 0.0
    old, new = then.detach().double().cpu(), now.detach().double().cpu()
    same = (old == new) | (old.isnan() & new.isnan())
    return float(torch.where(same, 0.0, (old - new).abs()).nan_to_num(nan=math.inf).max())


def _paired(first: PolicyArtifact, again: PolicyArtifact, callbacks: Callbacks) -> dict[str, Any] | None:
    """What the repetition's policy costs more on the scenarios policies are judged on; None where one of the two cannot
    be rebuilt or takes no feasible decision."""
    try:
        problem, instance, old = first.restore()
        _, _, new = again.restore()
    except (ArtifactError, RuntimeError):
        return None
    seed = scenario_seed(first.seed, "evaluation")
    policies = {"now": new, "then": old}
    simulator = problem.simulator(instance)
    try:
        samples = compare(simulator, policies, seed, PAIRED_SCENARIOS, PAIRED_SECONDS, callbacks.should_stop)
    except InfeasibleDecision:
        return None
    found = paired_difference(samples["now"].total, samples["then"].total)
    return {"scenarios": samples["then"].count, "mean": found["mean"], "ci95": found["ci95"]}


def certificates_compared(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the policy, every rule and the bound cost in both certificates [money], with the difference's interval.

    The interval takes the two for independent: they share scenarios, so it is wider than it need be.
    """
    rows = [_row("policy", "policy", then["policy"], now["policy"], "mean_cost")]
    old, new = ({rule["name"]: rule for rule in side["rules"]} for side in (then, now))
    rows += [_row("rule", name, old.get(name), new.get(name), "mean_cost") for name in sorted({*old, *new})]
    if then["bound"] or now["bound"]:
        kind = (then["bound"] or now["bound"])["kind"]
        rows.append(_row("bound", kind, then["bound"], now["bound"], "value"))
    return rows


def _row(
    what: str, name: str, then: Mapping[str, Any] | None, now: Mapping[str, Any] | None, value: str
) -> dict[str, Any]:
    sides = [None if side is None else {"value": side[value], "error": side["standard_error"]} for side in (then, now)]
    old, new = sides
    difference = None
    if old is not None and new is not None:
        mean = new["value"] - old["value"]
        margin = Z95 * math.hypot(old["error"], new["error"]) if mean else 0.0
        difference = {"mean": mean, "ci95": [mean - margin, mean + margin]}
    return {"what": what, "name": name, "then": old, "now": new, "difference": difference}


def _remarks(then: Receipt, now: Receipt) -> list[str]:
    """What a reader should know who wonders why two runs differ."""
    told = []
    if then["platform"]["device"] != now["platform"]["device"]:
        told.append(
            f"It was trained on {then['platform']['device']}; there is none here, so it was repeated on the CPU."
        )
    elif now["platform"]["device"] != "cpu":
        told.append("A GPU does not promise the same sums twice.")
    if then["platform"].get("ranks", 1) > 1:
        told.append("Several processes shared it: their sums are those of one process but for rounding.")
    if then["resumed"]:
        told.append("The first run went on from a checkpoint after its worker was lost.")
    if then["stopped_by"] != "finished":
        told.append(f"The first run was stopped after {then['steps']} steps; this one ended after {now['steps']}.")
    return told
