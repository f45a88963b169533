"""Solvers that misbehave on command, for tests of the job machinery.

A worker loads them with `HERENOW_SOLVERS=tests.service.lab:LAB,tests.service.lab:LAB_PROGRAM`.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Literal

from pydantic import Field

from models.core import Instance, Issue, NetworkSize, Problem
from models.lazy import torch
from solvers.core import Callbacks, Config, Diverged, Solver, SolveResult, TrainRequest, TrainResult

PLUGINS = "tests.service.lab:LAB,tests.service.lab:LAB_PROGRAM"
SIZE = NetworkSize(width=8, depth=1)
SECRET = "what-an-exception-says-stays-in-the-log"


class LabConfig(Config):
    """What to do, and when."""

    behaviour: Literal["train", "raise", "signal", "hog", "hang", "freeze", "diverge"] = "train"
    at: int = Field(2, ge=0, description="Iteration at which to misbehave.")
    iterations: int = Field(5, ge=1)
    pace: float = Field(0.02, ge=0, description="Seconds an iteration takes.")


class LabProgramConfig(Config):
    """How the program ends."""

    status: Literal["optimal", "infeasible"] = "optimal"
    pace: float = Field(0.0, ge=0, description="Seconds it takes.")


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Count iterations as a training would, and misbehave when told to."""
    config: LabConfig = request.config
    family = request.problem.default_family(request.instance)
    torch.manual_seed(request.seed)
    policy = build(request.problem, request.instance, config, family)
    with torch.no_grad():  # policies may start good: what is not trained here is surely worse than a tuned rule
        for weights in policy.parameters():
            weights.mul_(1.5)
    if request.warm_start is not None:
        policy.load_state_dict(dict(request.warm_start))
    first = int(request.checkpoint["iteration"]) if request.checkpoint is not None else 0
    began, done, stopped_by = time.monotonic(), first, "finished"
    for done in range(first + 1, config.iterations + 1):
        time.sleep(config.pace)
        callbacks.on_checkpoint({"iteration": done, "weights": policy.state_dict()})
        callbacks.on_iteration(done, config.iterations, {"cost": 10.0 / done, "best_cost": 10.0 / done})
        if done >= config.at:
            _misbehave(config.behaviour)
        late = request.is_over(done, time.monotonic() - began)
        if late or callbacks.should_stop():
            stopped_by = "time_limit" if late else "request"
            break
    curve = [{"iteration": float(done), "cost": 10.0 / done, "best_cost": 10.0 / done, "seconds": 0.0}]
    return TrainResult(policy, family, curve, done, time.monotonic() - began, stopped_by)  # type: ignore[arg-type]


def _misbehave(behaviour: str) -> None:
    match behaviour:
        case "raise":
            raise ValueError(SECRET)
        case "diverge":
            raise Diverged("the cost is not finite")
        case "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hog":
            hoard = []
            while True:
                hoard.append(b"x" * 2**24)
                time.sleep(0.01)
        case "hang":
            while True:
                time.sleep(0.05)
        case "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)


def build(problem: Problem, instance: Instance, config: Any, family: str) -> Any:
    """An untrained policy."""
    return problem.family(family).build(instance, problem.simulator(instance), SIZE)


def solve(problem: Problem, instance: Instance, config: Any, seed: int, callbacks: Callbacks) -> SolveResult:
    """End as the configuration says."""
    callbacks.on_phase("solving", 0.5)
    print("GPUs seen:", os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
    time.sleep(config.pace)
    return SolveResult(config.status, {"seed": seed})


LAB = Solver(
    name="lab",
    title="Laboratory",
    summary="Misbehaves on command.",
    kind="train",
    config=LabConfig,
    needs=lambda traits: [],
    train=train,
    build=build,
    refuses=lambda problem, instance, config: (
        [Issue("unlucky", "error", "/at", "nothing freezes on a Friday")] if config.at == 13 else []
    ),
)
LAB_PROGRAM = Solver(
    name="lab_program",
    title="Laboratory program",
    summary="Ends on command.",
    kind="solve",
    config=LabProgramConfig,
    needs=lambda traits: [] if traits.has_program else ["it needs a program"],
    solve=solve,
)
