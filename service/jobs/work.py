"""The work itself, in the job's child: training, evaluation, solving, each between its row and its outcome."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors import SafetensorError

from models.core import Instance, Problem
from models.registry import problem as find_problem
from service import tracing
from service.db.patience import insist
from service.db.rows import InstanceRow, JobRow, ScenarioSetRow
from service.db.session import Database
from service.decisions import replaying
from service.decisions import repository as recommendations
from service.jobs import lifecycle, outcomes
from service.jobs import repository as jobs
from service.jobs.helpers import Helpers
from service.jobs.reporting import Reporter
from service.jobs.repository import Lease
from service.jobs.resuming import Checkpoints
from service.jobs.states import State
from service.policies import repository as policies
from service.scenario_sets import repository as stored_scenarios
from service.scenario_sets import service as scenario_sets
from service.settings import Settings
from service.storage import NO_ROOM, Storage, is_full
from solvers.artifact import ArtifactError, PolicyArtifact
from solvers.core import Callbacks, TrainRequest
from solvers.registry import solver as find_solver

log = logging.getLogger(__name__)


class Released(BaseException):
    """The worker asked for the job back; raised through the solver once its state is safe on disk."""


class GpuUnavailable(RuntimeError):
    """The job was given a GPU and torch cannot use it."""


class Control:
    """What the worker wishes, and how much of the job's time is left."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._wish: str | None = None
        self._changed = threading.Lock()
        self.told = False  # the solver has been told to stop

    def wish(self, reason: str) -> None:
        """The worker's wish; the first one counts."""
        with self._changed:
            self._wish = self._wish or reason

    @property
    def seconds_left(self) -> float:
        """What is left of the job's time [s]."""
        return max(self._deadline - time.monotonic(), 0.0)

    @property
    def released(self) -> bool:
        """The worker wants the job back in the queue."""
        return self._wish == "release"

    @property
    def cancelled(self) -> bool:
        """The user wants it to end with what it has."""
        return self._wish == "cancel"

    @property
    def late(self) -> bool:
        """The job's time is over."""
        return self._wish == "time-limit" or time.monotonic() >= self._deadline

    def should_stop(self) -> bool:
        """What the solver asks at least once a second."""
        self.told = self._wish is not None or self.late
        return self.told


@dataclass(frozen=True)
class Task:
    """A job in its child, with everything it needs."""

    job: JobRow
    instance: InstanceRow
    lease: Lease
    settings: Settings
    database: Database
    storage: Storage
    reporter: Reporter
    control: Control
    phases: tracing.Phases = field(default_factory=tracing.Phases)


def work(task: Task) -> None:
    """Do the job and write its outcome.

    Released when the worker wanted it back, LeaseLost when it is another's by now; anything else that is raised is the
    job's failure.
    """
    torch.set_num_threads(task.settings.job_threads)
    _enter(task, "running", after="starting")
    problem = find_problem(task.instance.problem)
    instance = problem.parse(task.instance.body)
    try:
        outcome = _WORK[task.job.kind](task, problem, instance)
    finally:
        task.phases.leave()
    if task.control.released and task.control.told:
        raise Released  # it stopped half-way: what it returned is not what was asked for
    task.reporter.close()
    enter_finalizing(task)
    outcomes.store(task.database, task.lease, task.job, task.instance, outcome)


def enter_finalizing(task: Task) -> None:
    """The solver's own work is done; what follows judges and keeps it."""
    _enter(task, "finalizing", after="running")


def _enter(task: Task, state: State, after: State) -> None:
    def write() -> None:
        with task.database.write() as session:
            lifecycle.enter(session, task.lease, state, after)

    insist(write)


def _train(task: Task, problem: Problem, instance: Instance) -> outcomes.Outcome:
    from solvers.training import run_training

    solver = find_solver(task.job.solver or "")
    checkpoints = Checkpoints(task.storage, task.job.id, task.settings.checkpoint_seconds)
    request = TrainRequest(
        problem=problem,
        instance=instance,
        config=solver.config.model_validate(task.job.config),
        seed=task.job.seed,
        device=device(task.settings),
        checkpoint=checkpoints.load(),
    )
    if task.job.also_instance_ids:
        request = replace(request, also=_also(task, problem))
    if task.job.warm_start is not None:  # with a checkpoint too, which it does not touch: the receipt names it
        request = replace(request, warm_start=_warm_start(task))
    with Helpers(task.settings, task.storage, task.job.id) as helpers:
        here = ranks_here(task.settings)
        callbacks = replace(_callbacks(task, checkpoints), helpers=helpers.invite, ranks=lambda count: min(count, here))
        trained = run_training(solver, request, callbacks, job_seconds=task.job.time_limit_seconds)
    return outcomes.keep_training(trained, task.storage.artifacts, _stopped_by(task, trained.artifact.training))


def ranks_here(settings: Settings) -> int:
    """How many processes of one training may run on this machine."""
    return settings.job_ranks or max(len(os.sched_getaffinity(0)) // settings.concurrency, 1)


def _also(task: Task, problem: Problem) -> tuple[Instance, ...]:
    """The instances to train on beside the job's own."""
    with task.database.read() as session:
        rows = [jobs.instance(session, instance_id) for instance_id in task.job.also_instance_ids]
    return tuple(problem.parse(row.body) for row in rows if row is not None)


def _stopped_by(task: Task, training: Mapping[str, Any]) -> str:
    """A solver stopped by `should_stop` cannot know why it was asked."""
    said = str(training.get("stopped_by", "finished"))
    return "time_limit" if said == "request" and not task.control.cancelled else said


def _evaluate(task: Task, problem: Problem, instance: Instance) -> outcomes.Evaluated:
    from solvers.training import run_evaluation

    config = task.job.config
    artifacts: dict[str, PolicyArtifact] = {}
    named: dict[str, str] = {}
    with task.database.read() as session:
        for policy_id in config["policies"]:
            row = policies.by_ref(session, policy_id)
            if row is None:
                raise ArtifactError(f"policy {policy_id} has been deleted")
            label = f"{row.name}:{row.version}"
            artifacts[label] = PolicyArtifact.load(task.storage.artifacts, row.artifact_digest)
            named[label] = row.id
    scenarios, seconds = config["scenarios"], task.control.seconds_left
    own = _own_scenarios(task)
    given = None if own is None else scenario_sets.values_of(own)
    evaluation = run_evaluation(
        artifacts, config["rules"], problem, instance, scenarios, task.job.seed, _callbacks(task, None), seconds, given
    )
    body = {**evaluation.document, "policy_ids": named}
    if own is not None:
        body["scenario_set"] = {"id": own.id, "name": own.name, "digest": own.digest}
    return outcomes.Evaluated(body, evaluation.paths, "time_limit" if task.control.late else "finished")


def _accept(task: Task, problem: Problem, instance: Instance) -> outcomes.Outcome:
    """An evaluation that ends in a verdict; a decision that breaks a constraint is one, not a failure of the job."""
    from solvers.evaluation import InfeasibleDecision

    try:
        evaluated, broken = _evaluate(task, problem, instance), ""
    except InfeasibleDecision as error:
        evaluated, broken = None, str(error)
    return outcomes.Judged(evaluated, broken, is_complete=not task.control.cancelled)


def _replay(task: Task, problem: Problem, instance: Instance) -> outcomes.Outcome:
    from solvers.replay import replay
    from solvers.serving import ServedPolicy

    config, control = task.job.config, task.control
    with task.database.read() as session:
        row = recommendations.by_id(session, config["recommendation_id"])
        policy = policies.by_ref(session, config["policies"][0])
    if row is None or policy is None or row.outcome is None or not replaying.is_current(row, task.job):
        raise replaying.OutcomeChanged("the planner's decision was changed before it was replayed")
    served = ServedPolicy(PolicyArtifact.load(task.storage.artifacts, policy.artifact_digest))
    state, decision = replaying.state_of(row), row.outcome["decision"]
    on_phase = _callbacks(task, None).on_phase
    played = replay(
        served,
        state,
        decision,
        config["scenarios"],
        task.job.seed,
        control.should_stop,
        lambda fraction: on_phase("replay", fraction),
    )
    return outcomes.Replayed(played, "time_limit" if control.late else "finished")


def _reproduce(task: Task, problem: Problem, instance: Instance) -> outcomes.Outcome:
    from solvers.reproduction import CutShort, reproduce, request_of

    with task.database.read() as session:
        policy = policies.by_ref(session, task.job.config["policies"][0])
    if policy is None:
        raise ArtifactError("the policy to make again has been deleted")
    artifact = PolicyArtifact.load(task.storage.artifacts, policy.artifact_digest)
    request = request_of(artifact, _also(task, problem), _warm_start(task) if task.job.warm_start else None)
    try:
        with Helpers(task.settings, task.storage, task.job.id) as helpers:
            here = ranks_here(task.settings)
            callbacks = replace(_callbacks(task, None), helpers=helpers.invite, ranks=lambda count: min(count, here))
            found = reproduce(artifact, request, callbacks).document
    except CutShort:
        if task.control.late:
            raise
        return outcomes.Reproduced(None)  # cancelled, or given back
    return outcomes.Reproduced(found)


def _own_scenarios(task: Task) -> ScenarioSetRow | None:
    """The scenario set the job names, if it names one."""
    set_id = task.job.config.get("scenario_set_id")
    if set_id is None:
        return None
    with task.database.read() as session:
        row = stored_scenarios.by_id(session, set_id, with_numbers=True)
    if row is None:
        raise ArtifactError(f"scenario set {set_id} has been deleted")
    return row


def _solve(task: Task, problem: Problem, instance: Instance) -> outcomes.Outcome:
    solver = find_solver(task.job.solver or "")
    if solver.solve is None:
        raise RuntimeError(f"{solver.name} solves nothing")
    config = solver.config.model_validate(task.job.config)
    solved = solver.solve(problem, instance, config, task.job.seed, _callbacks(task, None))
    return outcomes.Solved(solved.status, solved.document)


_WORK: Mapping[str, Callable[[Task, Problem, Instance], outcomes.Outcome]] = {
    "train": _train,
    "evaluate": _evaluate,
    "accept": _accept,
    "replay": _replay,
    "reproduce": _reproduce,
    "solve": _solve,
}


def device(settings: Settings) -> str:
    """Where to compute: on the GPU the worker gave this process, which then is the only one it sees, or on the CPU."""
    if settings.device != "cuda":
        return "cpu"
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    log.info("computes on GPU %s", visible)
    if not torch.cuda.is_available():
        raise GpuUnavailable(f"The worker gave the job GPU {visible}, and torch sees none there.")
    return "cuda"


def _keep_checkpoint(checkpoints: Checkpoints, state: Mapping[str, Any], is_last: bool, reporter: Reporter) -> None:
    """Without room for a checkpoint the training goes on; a later one may find room."""
    try:
        size = checkpoints.save(state, is_last)
    except (OSError, SafetensorError) as error:
        log.warning("no checkpoint: %s", error)
        reporter.line("A checkpoint could not be written: " + (NO_ROOM if is_full(error) else type(error).__name__))
    else:
        reporter.checkpoint(state.get("iteration"), size)


def _warm_start(task: Task) -> Mapping[str, Any]:
    """The weights of the policy to start from; whether they fit, the training finds out."""
    with task.database.read() as session:
        row = policies.by_ref(session, task.job.warm_start or "")
    if row is None:
        raise ArtifactError("the policy to start from has been deleted")
    return PolicyArtifact.load(task.storage.artifacts, row.artifact_digest).weights


def _callbacks(task: Task, checkpoints: Checkpoints | None) -> Callbacks:
    """How the solver speaks with the job; `checkpoints` is where a training keeps what it resumes from."""
    reporter, control = task.reporter, task.control
    begun = finalizing = False

    def on_iteration(iteration: int, iterations: int, metrics: Mapping[str, float]) -> None:
        nonlocal begun
        begun = True
        reporter.iteration(iteration, iterations, metrics)
        if control.released and control.told:
            raise Released

    def on_checkpoint(state: Mapping[str, Any]) -> None:
        if checkpoints is not None and (checkpoints.is_due or control.told):
            _keep_checkpoint(checkpoints, state, control.released and control.told, reporter)
        if control.released and control.told:
            raise Released

    def on_phase(name: str, fraction: float) -> None:
        nonlocal finalizing
        reporter.phase(name, fraction)
        task.phases.enter(_span_of(name, task.job.kind))
        if control.released:
            raise Released
        if begun and name != "training" and not finalizing:
            finalizing = True
            enter_finalizing(task)

    def on_log(text: str) -> None:
        log.info("%s", text)
        reporter.line(text)

    return Callbacks(on_iteration, on_checkpoint, control.should_stop, on_log, on_phase)


def _span_of(phase: str, kind: str) -> str:
    """A phase's name in traces: what judges a trained policy is its certificate, whichever step of that it is."""
    return "certificate" if kind == "train" and phase in ("evaluation", "bound") else phase
