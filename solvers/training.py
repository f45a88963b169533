"""From an instance to a policy with its proof: train, tune the classical rules, bound, certify, package."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from models.core import Instance, PolicyFamily, Problem
from models.lazy import torch
from solvers import search
from solvers.artifact import PolicyArtifact, versions
from solvers.certificate import KnownBound, certify, relative_gap
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult, WeightsDoNotFit
from solvers.distribution import pairs
from solvers.evaluation import Floats, ScenarioChunk, Scenarios, quantile_paths
from solvers.families import plan_config, policy_of
from solvers.hdpo import HDPO, HDPOConfig, scenario_seed, train
from solvers.receipt import Receipt, code, receipt_of
from solvers.rolling_horizon import ROLLING_DETERMINISTIC

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy

# Shares of a job's time: what training, rule tuning and the certificate may take at most.
TRAINING_SHARE, RULES_SHARE, CERTIFICATE_SHARE = 0.7, 0.1, 0.2
DEFAULT_CERTIFICATE_SECONDS = 60.0
RULE_CONFIG = HDPOConfig(iterations=300, learning_rate=0.05, validation_every=50)
SEARCH_CONFIG = search.CrossEntropyConfig()
TRAINED = "the trained policy"  # no family's name: a rule may be what is trained


@dataclass(frozen=True)
class TrainingOutcome:
    """The trained policy, and the best classical rule if that one is surely cheaper."""

    artifact: PolicyArtifact
    better_rule: PolicyArtifact | None


@dataclass(frozen=True)
class TunedRule:
    """A classical rule with its parameters tuned for an instance."""

    family: str
    result: TrainResult


@dataclass(frozen=True)
class EvaluationDocument:
    """Policies compared on common random numbers: figures, and quantile paths for plots."""

    document: dict[str, Any]
    paths: dict[str, Any]


def run_training(
    solver: Solver, request: TrainRequest, callbacks: Callbacks, job_seconds: float | None = None
) -> TrainingOutcome:
    """Train with `solver`, then prove: rules tuned on the same instance, a lower bound, common unseen scenarios.

    A stop asked for in training keeps the best policy so far, certified on one block of scenarios, without rules.
    """
    if solver.train is None:
        raise ValueError(f"{solver.name} trains no policies")
    limit = job_seconds if job_seconds is not None else math.inf
    training_limit = request.time_limit if request.time_limit is not None else TRAINING_SHARE * limit
    if request.until is not None:
        training_limit = math.inf  # as many steps as the run that is repeated, however long they take here
    code(solver, request)  # read now: the files may have changed when a long run ends
    callbacks.on_phase("training", 0.0)
    result = solver.train(replace(request, time_limit=training_limit), callbacks)
    # Rules answer to the same constraints, from the prices the policy was trained with.
    prices = {name: row["price"] for name, row in result.constraints.items() if "price" in row}
    priced = replace(request, prices=prices)
    rules = [] if callbacks.should_stop() else tune_rules(priced, callbacks, RULES_SHARE * limit)
    policies = {TRAINED: result.policy} | {rule.family: rule.result.policy for rule in rules}
    certificate, _ = certify(
        request.problem,
        request.instance,
        policies,
        scenario_seed(request.seed, "evaluation"),
        callbacks,
        seconds=min(CERTIFICATE_SHARE * limit, DEFAULT_CERTIFICATE_SECONDS),
        known_bounds=[] if result.bound is None else [KnownBound(solver.name, result.bound)],
    )
    if callbacks.should_stop():
        certificate["recommended_for_use"] = False  # the comparison was cut short
    artifact = _package(solver, request, result, certificate, receipt_of(solver, request, result, job_seconds))
    return TrainingOutcome(artifact, _better_rule(request, certificate, rules, job_seconds))


def tune_rules(request: TrainRequest, callbacks: Callbacks, seconds: float) -> list[TunedRule]:
    """The problem's classical rules, their parameters descended by the same pathwise gradient, or searched for where
    they jump."""
    families = request.problem.rules_for(request.instance)
    tuned: list[TunedRule] = []
    for k, family in enumerate(families):
        callbacks.on_phase("rules", k / len(families))
        tuned.append(TunedRule(family.name, _tune_rule(request, family, callbacks, seconds / len(families))))
    return tuned


def _tune_rule(request: TrainRequest, family: PolicyFamily, callbacks: Callbacks, seconds: float) -> TrainResult:
    if family.plan is not None:
        policy = policy_of(request.problem, request.instance, family)
        return TrainResult(policy, family.name, [], 0, 0.0, "finished")
    if family.tuning == "none":
        config = RULE_CONFIG.model_copy(update={"family": family.name})
        policy = HDPO.build(request.problem, request.instance, config, family.name)  # type: ignore[misc]
        return TrainResult(policy, family.name, [], 0, 0.0, "finished")
    searched = family.tuning == "search"
    base: Config = SEARCH_CONFIG if searched else RULE_CONFIG
    own = TrainRequest(
        request.problem,
        request.instance,
        base.model_copy(update={"family": family.name}),
        scenario_seed(request.seed, "rules") % (1 << 31),
        "cpu" if searched else request.device,
        time_limit=seconds,
        prices=request.prices,
    )
    return (search.train if searched else train)(own, Callbacks(should_stop=callbacks.should_stop))


def _package(
    solver: Solver, request: TrainRequest, result: TrainResult, certificate: dict[str, Any], receipt: Receipt
) -> PolicyArtifact:
    return PolicyArtifact(
        problem=request.problem.name,
        solver=solver.name,
        family=result.family,
        config=request.config.model_dump(mode="json"),
        seed=request.seed,
        instance=request.instance.document(),
        weights=result.policy.state_dict(),
        training_range=_training_range(request, result.policy),
        certificate=certificate,
        description=result.policy.describe(),
        curve=result.curve,
        training={
            "seconds": result.seconds,
            "device": request.device,
            "ranks": result.ranks,
            "iterations": result.iterations,
            "stopped_by": result.stopped_by,
            "relaxes": list(request.problem.simulator(request.instance, counts=False).relaxes),
            "constraints": {name: dict(row) for name, row in result.constraints.items()},
        },
        versions=versions(),
        receipt=receipt,
    )


def _training_range(request: TrainRequest, policy: Policy[Any, Any]) -> dict[str, Tensor]:
    """Least and greatest value of every feature along the policy's own trajectories on training scenarios."""
    simulator = request.problem.simulator(request.instance)
    chunk = next(iter(Scenarios(simulator, scenario_seed(request.seed, "training"), policy.range_scenarios)))
    state, low, high = chunk.state, None, None
    with torch.no_grad():
        for stage in range(simulator.num_stages):
            features = policy.features(state, stage)
            if features is None:
                return {}
            least, most = features.amin(0), features.amax(0)
            low = least if low is None else torch.minimum(low, least)
            high = most if high is None else torch.maximum(high, most)
            post, _ = simulator.decide(state, policy(state, stage), stage)
            state, _ = simulator.realize(post, chunk.noise, stage)
    return {"low": low, "high": high} if low is not None and high is not None else {}


def _better_rule(
    request: TrainRequest, certificate: dict[str, Any], rules: Sequence[TunedRule], seconds: float | None
) -> PolicyArtifact | None:
    """The rule that the certificate says is surely better than the trained policy, as a policy of its own."""
    best = certificate["better_rule"]
    if best is None:
        return None
    rule = next(rule for rule in rules if rule.family == best)
    others = [entry for entry in certificate["rules"] if entry["name"] != best]
    own = next(entry for entry in certificate["rules"] if entry["name"] == best)
    figures = {k: v for k, v in own.items() if k not in ("name", "paired_difference")}
    bound = certificate["bound"]
    gap = None if bound is None else relative_gap(own["mean_cost"], bound["value"])
    document = certificate | {
        "policy": figures,
        "rules": others,
        "gap": gap,
        "gap_ci95": None,
        "beats_best_rule": True,
        "better_rule": None,
        "recommended_for_use": True,
        "missed_targets": [],
    }
    family = request.problem.family(best)
    solver: Solver = search.CROSS_ENTROPY if family.tuning == "search" else HDPO
    config: Config = SEARCH_CONFIG if family.tuning == "search" else RULE_CONFIG
    if family.plan is None:
        config = config.model_copy(update={"family": best})
    else:
        solver, config = ROLLING_DETERMINISTIC, plan_config(family)
    own = replace(request, config=config)
    return _package(solver, own, rule.result, document, receipt_of(solver, own, rule.result, seconds, of_rule=True))


def run_evaluation(
    artifacts: Mapping[str, PolicyArtifact],
    rules: Sequence[str],
    problem: Problem,
    instance: Instance,
    scenarios: int | None,
    seed: int,
    callbacks: Callbacks,
    seconds: float = math.inf,
    given: Floats | None = None,
) -> EvaluationDocument:
    """Stored policies and freshly tuned rules on one instance, on common random numbers, beside the bound.

    `given` are scenarios of the planner's own (scenario, stage, place), each counted once, instead of drawn ones.

    Raises:
        ArtifactError: a policy cannot be rebuilt. WeightsDoNotFit: a policy does not fit the instance.
    """
    policies: dict[str, Policy[Any, Any]] = {}
    for name, artifact in artifacts.items():
        policies[name] = policy_on(artifact, problem, instance)
    for name in rules:
        family = problem.family(name)
        request = TrainRequest(problem, instance, RULE_CONFIG, seed)
        policies[name] = _tune_rule(request, family, callbacks, seconds / (2 * len(rules))).policy
    document, samples = certify(
        problem,
        instance,
        policies,
        seed,
        callbacks,
        scenarios,
        seconds / 2,
        given=chunk_of(problem, instance, given, seed),
    )
    own = next(iter(policies))
    entries = [{"name": own} | document.pop("policy"), *document.pop("rules")]
    document["policies"] = entries
    for key in ("beats_best_rule", "better_rule", "recommended_for_use", "missed_targets"):
        del document[key]
    document["pairs"] = pairs({name: sample.total for name, sample in samples.items()})
    return EvaluationDocument(document, {name: quantile_paths(sample) for name, sample in samples.items()})


def chunk_of(problem: Problem, instance: Instance, given: Floats | None, seed: int) -> ScenarioChunk | None:
    """Scenarios of the planner's own as states and noise; what they leave to chance is drawn with the seed."""
    if given is None:
        return None
    if problem.scenarios is None:
        raise ValueError(f"{problem.name} takes no scenarios of the planner's own")
    return ScenarioChunk(
        *problem.scenarios.panel(problem.simulator(instance), given, torch.Generator().manual_seed(seed))
    )


def policy_on(artifact: PolicyArtifact, problem: Problem, instance: Instance) -> Policy[Any, Any]:
    """A stored policy on an instance, its own or another of the same shape; WeightsDoNotFit if it is not."""
    from solvers.registry import solver as find_solver

    solver = find_solver(artifact.solver)
    if artifact.problem != problem.name or solver.build is None:
        raise WeightsDoNotFit(f"a policy for {artifact.problem} does not decide {problem.name}")
    policy = solver.build(problem, instance, solver.config(**artifact.config), artifact.family)
    try:
        policy.load_state_dict(dict(artifact.weights))
    except RuntimeError as error:
        raise WeightsDoNotFit("the policy's weights do not fit this instance: another network") from error
    return policy.eval()
