"""PDPPO: proximal policy optimisation with a state critic and a post-decision critic.

Paper: Felizardo, Fadda, Brandimarte, Del-Moral-Hernandez, Nascimento, "Proximal Policy Optimization with Post-Decision
States and Dual Critics", arXiv 2504.05150. A stage is a known half (decision → post-decision state) and a random half
(noise → next state); a critic stands at the end of each, and only what the decision itself brought about counts for it.

Equation → function
  s^x = f(s, x), s′ = g(s^x, ω)             `Rows.step`: the simulator's decide and realize
  A = max(A_state, A_post)                  `advantages.maximum`, the published rule
  A = δ_a + λ_w (δ_w + γλ A′)               `advantages.half_step`, one value function on both halves (the default)
  A = Σ (γλ)^k δ_{t+k}                      `advantages.plain`: PPO itself
  L = E min(r A, clip(r, 1 ± ε) A)          `lessons.surrogate`, r the joint ratio of all choices of a decision
  L = E r A − KL(π, π_old)/t                `lessons.surrogate`, mirror descent (MDPO: Tomar and others, 2020)
  L_V + L_X                                 `Learner._critics_error`
  V = Φ + v, π ∝ f − q/τ, shaped costs      `solvers.residual`: start from the values of a decomposition

Deviations and why (`docs/solvers/pdppo.md` has the measurements)
  * infeasible choices are masked; the policy sees the whole state, setups included
  * one value function instead of one a cost stream: the maximum of two advantages is biased
  * GAE instead of Monte-Carlo returns, minibatches of a fresh rollout instead of a sliding buffer
  * scenarios stand at staggered stages of the horizon; its end is an end, everything else is bootstrapped
  * costs to go are normalised; learning rate and entropy fall linearly; the policy best on a fixed panel is kept
  * a rule can be imitated first: the actor takes over its choices, the critics its costs
  * now and then one choice is replaced at random, for the critics alone: they are asked about such choices when a
    decision is explained or improved, and would know nothing of them

  * several processes may share the scenarios, `ranks`: the same minibatches, gradients summed (`solvers.ranks`)

Metrics logged: cost [money/stage] of the rollout, validation_cost, best_cost; entropy, kl, clipped; value_error,
post_value_error (root mean square over the targets' standard deviation); learning_rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from models.core import Instance, Issue, NetworkSize, Problem, Traits
from models.lazy import torch
from solvers import advantages
from solvers.advantages import Credit
from solvers.core import Callbacks, Config, Diverged, Solver, TrainRequest, TrainResult
from solvers.descent import copy, fill, moments, take_back
from solvers.draws import OTHER_DEVICE, Draws
from solvers.lessons import IMPOSSIBLE, Lessons, imitation, surrogate
from solvers.ranks import ALONE, Ranks, too_many
from solvers.scenario_rows import Memory, Rows
from solvers.teachers import decomposed, empty_values, teacher, teachers, without_decomposition
from solvers.team import train_together
from solvers.watch import Stopped, Watch

if TYPE_CHECKING:
    from torch import Tensor

    from models.choices import ChoicePolicy, CriticisedPolicy, Values
    from models.dynamics import Policy, Simulator
    from solvers.residual import Potentials

TIE = 1e-6  # relative difference of two costs that is none


class PDPPOConfig(Config):
    """Configuration of PDPPO. The defaults are meant to work."""

    family: str = Field(
        "auto", pattern=r"^[a-z0-9_]+$", description="Policy family to train; auto lets the problem choose."
    )
    iterations: int = Field(100, ge=0, le=1_000_000, description="Rollouts; each is learned from and thrown away.")
    scenarios: int = Field(128, ge=1, le=1_000_000, description="Scenarios simulated side by side.")
    stages: int = Field(32, ge=1, le=10_000, description="Stages of a rollout.")
    restart_stages: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Stages after which a scenario is cut off and begun anew at another stage; null lets it run to the "
        "horizon.",
    )
    advantage: Literal["half_step", "maximum", "plain"] = Field(
        "half_step",
        description="Advantage rule: half steps of one value function, the published maximum of two, or PPO's.",
    )
    update: Literal["clip", "mirror"] = Field("clip", description="Clipped surrogate, or mirror descent (MDPO).")
    discount: float = Field(0.99, gt=0, le=1, description="Discount per stage in training, on top of the problem's.")
    decay: float = Field(0.95, ge=0, le=1, description="GAE's λ: how far a decision's consequences are followed.")
    luck: float = Field(0.8, ge=0, le=1, description="λ_w: share of the noise's half step in a decision's credit.")
    epochs: int = Field(4, ge=1, le=100, description="Passes over a rollout.")
    minibatches: int = Field(4, ge=1, le=10_000, description="Parts a rollout is learned in.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size at the start.")
    final_rate: float = Field(0.02, gt=0, le=1, description="Share of the learning rate left at the end.")
    entropy: float = Field(0.02, ge=0, le=10, description="Weight of the policy's entropy; falls to zero.")
    clip: float = Field(0.2, gt=0, le=10, description="ε: how far the ratio of probabilities may pay.")
    mirror_step: float = Field(1.0, gt=0, le=1e6, description="t: step of mirror descent at the start; falls to zero.")
    kl_stop: float | None = Field(
        None, gt=0, le=10, description="KL divergence from the old policy at which a rollout is put aside; null: never."
    )
    value_weight: float = Field(0.5, gt=0, le=100, description="Weight of the critics' loss.")
    normalise_values: bool = Field(True, description="Whether costs to go are centred and scaled for the critics.")
    gradient_clip: float = Field(0.5, gt=0, le=1e6, description="Largest norm of the gradient.")
    imitate: str | None = Field(
        None,
        pattern=r"^[a-z0-9_]+$",
        description="Rule, or solver, whose policy's choices are learned first; null: nobody's.",
    )
    imitation_iterations: int = Field(20, ge=1, le=100_000, description="Rollouts that the rule is imitated for.")
    sweeps: int = Field(
        0,
        ge=0,
        le=20,
        description="Rounds in which each choice is improved by its cost now and the post-decision critic's cost to "
        "go, when deciding.",
    )
    softness: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Probability that imitation leaves to choices other than the teacher's, and a residual start to "
        "those other than the look-ahead's.",
    )
    residual: bool = Field(
        False,
        description="Start from the parts' values of the Lagrangian decomposition and learn the rest: the actor from "
        "its look-ahead, the critics from its cost to go, the costs shaped by it. Best undiscounted.",
    )
    tries: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of stages in which one choice is replaced at random: the critics learn what it leads to, "
        "the policy learns nothing from it.",
    )
    width: int = Field(128, ge=1, le=4096, description="Hidden units a layer.")
    depth: int = Field(2, ge=1, le=16, description="Hidden layers.")
    validation_every: int = Field(10, ge=1, le=1_000_000, description="Rollouts between validations.")
    validation_scenarios: int = Field(512, ge=1, le=1_000_000, description="Scenarios of a validation.")
    ranks: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that share the scenarios, as far as there are: cores of the machine, its GPUs, free "
        "workers. Up to rounding it does not change a result.",
    )


@dataclass
class Run:
    """What changes while training: everything a checkpoint holds beside weights, optimizer, rows and generators."""

    iteration: int
    best_cost: float
    best_weights: dict[str, Tensor]
    curve: list[dict[str, float]]
    seconds: float


def train(request: TrainRequest, callbacks: Callbacks) -> TrainResult:
    """Train the configured family; returns the policy best on validation scenarios, with its critics."""
    return train_together(PDPPO, request, callbacks)


def train_rank(request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> TrainResult:
    """One rank's part of it; alone, all of it."""
    config: PDPPOConfig = request.config
    family = resolve_family(request.problem, request.instance, config)
    learner = Learner(request, config, family, callbacks, ranks)
    watch = Watch(request, callbacks, ranks)
    stopped_by, run = _learn(learner, config, request, callbacks, watch)
    best = build(request.problem, request.instance, config, family)
    best.load_state_dict({name: tensor.cpu() for name, tensor in run.best_weights.items()})
    return TrainResult(best.eval(), family, run.curve, run.iteration, run.seconds, stopped_by)


def _learn(
    learner: Learner, config: PDPPOConfig, request: TrainRequest, callbacks: Callbacks, watch: Watch
) -> tuple[Any, Run]:
    run = Run(0, math.inf, copy(learner.policy), [], 0.0)
    goes_on = True
    if request.checkpoint is not None:
        run, goes_on = learner.restore(request.checkpoint)
    before, whole = run.seconds, run.iteration
    try:
        if request.checkpoint is None:
            judge(learner, run, watch)
        if not goes_on:
            callbacks.on_log(OTHER_DEVICE)
            run.best_cost = learner.validate_as(run.best_weights, watch)
        while run.iteration < config.iterations:
            if run.iteration == request.until:
                raise Stopped("time_limit")
            metrics = learner.iterate(run.iteration, watch)
            run.iteration += 1
            run.seconds = before + watch.elapsed
            if run.iteration % config.validation_every == 0 or run.iteration == config.iterations:
                metrics |= judge(learner, run, watch)
                callbacks.on_checkpoint(learner.checkpoint(run))
            callbacks.on_iteration(run.iteration, config.iterations, metrics | {"best_cost": run.best_cost})
            whole = run.iteration
    except Stopped as reason:
        run.iteration, run.seconds = whole, before + watch.elapsed  # one that was not judged in full does not count
        return str(reason), run
    return "finished", run


class Learner:
    """Actor, critics, optimizer and the scenarios they learn from."""

    def __init__(
        self,
        request: TrainRequest,
        config: PDPPOConfig,
        family: str,
        callbacks: Callbacks | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.ranks, callbacks = config, ranks, callbacks or Callbacks()
        # Built on the processor, then moved: building reads the simulator's tables.
        self.simulator = request.problem.simulator(request.instance, counts=False)
        self.teacher = teacher(request, config.imitate, self.simulator, callbacks, ranks)
        known = config.residual and request.checkpoint is None and request.warm_start is None
        parts = decomposed(request, callbacks, ranks).values if known else None
        torch.manual_seed(request.seed)  # initial weights
        self.policy = _assemble(request.problem, request.instance, config, family, self.simulator, parts)
        for module in (self.simulator, self.policy, self.teacher):
            if module is not None:
                module.to(request.device)
        if request.warm_start is not None:
            fill(self.policy, request.warm_start)
        ranks.follow(self.policy.state_dict().values())
        self.fresh = request.warm_start is None
        self.actor: ChoicePolicy[Any, Any] = self.policy.actor
        # With a residual start the critics learn what the guide leaves, from shaped costs.
        values: Any = self.policy.values
        self.critics: Values[Any, Any] = values.rest if config.residual else values
        self.discount = self.critics.discount
        groups = [{"params": [*self.actor.parameters()]}, {"params": [*self.critics.parameters()]}]
        self.optimizer = torch.optim.Adam(groups, lr=config.learning_rate, eps=1e-5, fused=True)
        draws = Draws(self.simulator, config.validation_scenarios, None, request.seed, request.device, ranks=ranks)
        self.draws, self.panel, self.generator = draws, draws.validation, draws.generator
        self.rows = Rows(self.simulator, config.scenarios, config.restart_stages, self.generator, ranks)
        self.share = ranks.share(config.scenarios)  # of the rows
        choices = self.actor.choices
        self.memory = Memory(self.rows, config.stages, choices.num_slots)
        self.potentials = self._guided(known) if config.residual else None

    def _guided(self, fresh: bool) -> Potentials:
        """The memory of what the guide says; a fresh actor is heated until it tries other choices as configured."""
        from solvers.residual import Potentials, heat

        actor: Any = self.actor
        if fresh:
            heat(actor, self.rows, self.config.stages, self.config.softness)
        return Potentials(actor.guide, self.memory.seen.value)

    def iterate(self, iteration: int, watch: Watch) -> dict[str, float]:
        """One rollout, and what is learned from it."""
        config = self.config
        imitated = self.teacher is not None and iteration < config.imitation_iterations
        left = 1.0 - iteration / config.iterations
        # The critics' rate does not fall: they follow a policy, and a scale, that still move.
        self.optimizer.param_groups[0]["lr"] = config.learning_rate * max(left, config.final_rate)
        with torch.no_grad():
            self.simulate(imitated, watch)
            # Fresh critics take over the first rollout's scale at once.
            lessons = self.study(1.0 if self.fresh and iteration == 0 else 0.1)
        told = self.learn(lessons, left, imitated, watch)
        cost = float(self.ranks.mean((self.memory.seen.decided + self.memory.seen.realized).mean(), self.share))
        if not math.isfinite(cost):
            raise Diverged(f"costs are not finite (iteration {iteration})")
        return {"cost": cost, "learning_rate": self.optimizer.param_groups[0]["lr"]} | told

    def simulate(self, imitated: bool, watch: Watch) -> None:
        """Fill the memory: `stages` stages of every row; choices are sampled, or every other row is the teacher's."""
        rows, memory, actor, seen = self.rows, self.memory, self.actor, self.memory.seen
        seen.goes_on.fill_(1.0)
        seen.goes_on[-1] = 0.0
        seen.ended.zero_()
        cut: list[tuple[int, slice, Tensor, Tensor]] = []
        for step in range(memory.stages):
            watch()
            state, stage = rows.state, rows.stage
            prior, seen_state = actor.prior(state, stage), actor.encoded(state, stage)
            done = label = actor.pick(seen_state, stage, self._sampled, prior)
            if imitated:
                label = self._taught(state, stage)
                own = torch.arange(rows.own.start, rows.own.stop, device=stage.device)
                done = torch.where((own % 2 == 0)[:, None], label, done)
            if self.config.tries:
                done, memory.tried[step] = self._try(state, stage, done)
                seen.goes_on[step - 1 : step] *= (~memory.tried[step]).to(seen.goes_on.dtype)
            post, seen.decided[step], seen.realized[step] = rows.step(actor.choices.decision(done))
            memory.put(step, seen_state, stage, label, self.critics.encoded(post, stage), prior)
            if self.potentials is not None and prior is not None:
                self.potentials.put(step, prior, post, stage)
            for cohort, ended in rows.over():
                part = rows.cohorts[cohort]
                if part.start < part.stop:
                    left = rows.state.rows(part), rows.stage[part], ended
                    cut.append((step, part, self._left_behind(*left), self._potential_behind(*left)))
                    seen.goes_on[step, part], seen.ended[step, part] = 0.0, float(ended)
                rows.restart(cohort)
        self._ask_critics(cut)

    def _sampled(self, logits: Tensor) -> Tensor:
        """A choice with the policy's probabilities: the first of exponential clocks of those rates to ring."""
        all_rows = logits.new_empty((self.rows.total, *logits.shape[1:]))
        clocks = all_rows.exponential_(generator=self.generator)[self.rows.own]
        return (logits - clocks.log()).argmax(-1)

    def _try(self, state: Any, stage: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        """Choices with one slot's replaced at random in some rows, and which rows those are.

        What a policy never does its post-decision critic knows nothing of, and could not tell a planner.
        """
        choices, row = self.actor.choices, torch.arange(len(choice), device=choice.device)
        draws = torch.rand((2, self.rows.total), generator=self.generator, device=choice.device)[:, self.rows.own]
        slot = (draws[0] * choices.num_slots).long()
        may = choices.feasible(state, stage, choice)[row, slot]
        other = choice.clone()
        other[row, slot] = self._sampled(torch.zeros(may.shape, device=may.device).masked_fill_(~may, IMPOSSIBLE))
        allowed = choices.feasible(state, stage, other).gather(2, other.unsqueeze(2)).squeeze(2).all(1)
        tried = (draws[1] < self.config.tries) & allowed & (other != choice).any(1)
        return torch.where(tried[:, None], other, choice), tried

    def _taught(self, state: Any, stage: Tensor) -> Tensor:
        choice: Tensor = self.actor.choices.choice(self.teacher(state, stage))  # type: ignore[misc]
        return choice

    def _left_behind(self, state: Any, stage: Tensor, ended: bool) -> Tensor:
        """What follows the last stage of a row: the terminal cost at the horizon, else the state critic's word."""
        if not ended:
            return self.critics.value(state, stage)
        final = self.simulator.terminal(state)
        return final.total if final.components else torch.zeros(len(stage), device=stage.device)

    def _potential_behind(self, state: Any, stage: Tensor, ended: bool) -> Tensor:
        """What the guide expects to follow the last stage of a row: nothing at the horizon."""
        if self.potentials is None or ended:
            return torch.zeros(len(stage), device=stage.device)
        return self.potentials.guide.cost(state, stage)

    def _ask_critics(self, cut: list[tuple[int, slice, Tensor, Tensor]]) -> None:
        memory, seen = self.memory, self.memory.seen
        seen.value.copy_(self.critics.value(memory.state, memory.stage).view_as(seen.value))
        seen.post_value.copy_(self.critics.post_value(memory.post, memory.stage).view_as(seen.value))
        seen.following[:-1] = seen.value[1:]
        seen.following[-1] = self.critics.value(self.rows.state, self.rows.stage)
        for step, part, value, _ in cut:
            seen.following[step, part] = value
        if self.potentials is not None:
            behind = [(step, part, potential) for step, part, _, potential in cut]
            self.potentials.follow(self.rows.state, self.rows.stage, behind)

    def study(self, rate: float) -> Lessons:
        """Credit of the rollout, normalised; the critics' centre and spread move to its targets by `rate`."""
        config, memory = self.config, self.memory
        seen = memory.seen if self.potentials is None else self.potentials.shaped(memory.seen, self.discount)
        if config.advantage == "half_step":
            credit = advantages.half_step(seen, self.discount, config.decay, config.luck)
        else:
            rule = {"maximum": advantages.maximum, "plain": advantages.plain}[config.advantage]
            credit = rule(seen, self.discount, config.decay)
        if config.normalise_values:
            self._normalise(torch.stack((credit.value_target.flatten(), credit.post_target.flatten())), rate)
        centre = self.ranks.mean(credit.advantage.mean(), self.share)
        advantage = (credit.advantage - centre) / (self.ranks.spread(credit.advantage.flatten(), self.share) + 1e-8)
        # What was tried is not what the policy does: it says nothing of V, and the policy is not to follow it.
        advantage = torch.where(memory.tried, 0.0, advantage)
        value_target = torch.where(memory.tried, memory.seen.value, credit.value_target)
        flat = Credit(advantage.flatten(), value_target.flatten(), credit.post_target.flatten())
        logits = self.actor.logits(memory.state, memory.stage, memory.choice, memory.prior)
        old = torch.log_softmax(logits, -1)
        return Lessons(memory.state, memory.post, memory.stage, memory.choice, old, flat, memory.prior)

    def _normalise(self, targets: Tensor, rate: float) -> None:
        """Centre and spread of the targets (2, row): the best multiple of the annuity, and what is left then."""
        critics, annuity = self.critics, self.critics.annuity(self.memory.stage)
        product = self.ranks.mean((targets * annuity).mean(1), self.share)
        critics.centre.lerp_(product / self.ranks.mean(annuity.square().mean(), self.share), rate)
        left = targets - critics.centre[:, None] * annuity
        critics.spread.lerp_(self.ranks.spread(left, self.share) + 1e-6, rate)

    def learn(self, lessons: Lessons, left: float, imitated: bool, watch: Watch) -> dict[str, float]:
        """Epochs of minibatches; `left` is the share of the run still to come."""
        config, count = self.config, self.memory.stages * self.rows.total
        told: list[Tensor] = []
        for _ in range(config.epochs):
            order = torch.randperm(count, generator=self.generator, device=lessons.stage.device)
            first = len(told)
            for chosen in torch.split(order, math.ceil(count / config.minibatches)):
                watch()
                index = self.rows.lessons(chosen)
                self.optimizer.zero_grad(set_to_none=True)
                # A rank may have no row of a minibatch.
                own = (
                    self._descent(lessons.rows(index), left, imitated)
                    if len(index)
                    else self.critics.spread.new_zeros(5)
                )
                told.append(self.ranks.combine(self.policy.parameters(), len(index) / len(chosen), own))
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.gradient_clip)
                self.optimizer.step()
            if config.kl_stop is not None and float(torch.stack(told[first:])[:, 1].mean()) > config.kl_stop:
                break
        mean = torch.stack(told).mean(0).tolist()
        names = ("entropy", "kl", "clipped", "value_error", "post_value_error")
        return dict(zip(names, (*mean[:3], *(math.sqrt(max(error, 0.0)) for error in mean[3:])), strict=True))

    def _descent(self, part: Lessons, left: float, imitated: bool) -> Tensor:
        """Put the gradients of a minibatch into the weights; returns what is told of it."""
        config = self.config
        new = torch.log_softmax(self.actor.logits(part.state, part.stage, part.choice, part.prior), -1)
        lesson = imitation(new, part, config.softness) if imitated else surrogate(new, part, config, left)
        errors = self._critics_error(part)
        entropy = -(new.exp() * new).sum(-1).mean()
        weight = 0.0 if imitated else config.entropy * left
        torch.autograd.backward(lesson.loss - weight * entropy + config.value_weight * errors.sum() / 2)
        return torch.stack((entropy, lesson.kl, lesson.clipped, *errors)).detach()

    def _critics_error(self, part: Lessons) -> Tensor:
        """Mean square errors of V and V^x (the latter where it is trained), in spreads: (2,)."""
        spread, credit = self.critics.spread, part.credit
        state = (self.critics.value(part.state, part.stage) - credit.value_target) / spread[0]
        if self.config.advantage == "plain":
            return torch.stack((state.square().mean(), spread.new_zeros(())))
        post = (self.critics.post_value(part.post, part.stage) - credit.post_target) / spread[1]
        return torch.stack((state.square().mean(), post.square().mean()))

    def validate(self, watch: Watch) -> float:
        """Mean cost a stage of the policy as it will be served, on the fixed panel [money/stage]."""
        state, noise = self.panel
        simulator, weight = self.simulator, 1.0
        total: Any = 0.0
        for stage in range(simulator.num_stages):
            watch()
            post, decided = simulator.decide(state, self.policy(state, stage), stage)
            state, realized = simulator.realize(post, noise, stage)
            for costs in (decided, realized):
                total = total + weight * (costs.total.mean() if costs.components else 0.0)
            weight *= simulator.discount
        final = simulator.terminal(state)
        total = total + weight * (final.total.mean() if final.components else 0.0)
        share = self.ranks.share(self.config.validation_scenarios)
        return float(self.ranks.mean(torch.as_tensor(total), share)) / simulator.num_stages

    def validate_as(self, weights: Mapping[str, Tensor], watch: Watch) -> float:
        """What the policy with other weights costs on the panel [money/stage]."""
        own = copy(self.policy)
        self.policy.load_state_dict(weights)
        with torch.no_grad():
            cost = self.validate(watch)
        self.policy.load_state_dict(own)
        return cost

    def checkpoint(self, run: Run) -> dict[str, Any]:
        """Everything needed to go on as if the run had never stopped."""
        return {
            "iteration": run.iteration,
            "best_cost": run.best_cost,
            "best_weights": dict(run.best_weights),
            "curve": [dict(row) for row in run.curve],
            "seconds": run.seconds,
            "weights": copy(self.policy),
            "moments": moments(self.optimizer),
            "rows": self.rows.kept(),
            "generator": self.generator.get_state(),
        }

    def restore(self, kept: Mapping[str, Any]) -> tuple[Run, bool]:
        """The run a checkpoint holds, and whether its scenarios go on: another kind of device cannot draw them."""
        self.policy.load_state_dict(kept["weights"])
        take_back(self.optimizer, kept["moments"])
        iteration = int(kept["iteration"])
        goes_on = self.draws.go_on(kept["generator"], iteration)
        if goes_on:
            self.rows.resume(kept["rows"])
            self.draws.go_on(kept["generator"], iteration)
        else:
            self.rows.renew(kept["rows"])
        curve = [dict(row) for row in kept["curve"]]
        best = (float(kept["best_cost"]), dict(kept["best_weights"]))
        return Run(iteration, *best, curve, float(kept["seconds"])), goes_on


def judge(learner: Learner, run: Run, watch: Watch) -> dict[str, float]:
    """Validate; keep the weights if they are the cheapest so far."""
    # Other machines may round otherwise: ranks do not drift apart.
    learner.ranks.follow(learner.policy.parameters())
    with torch.no_grad():
        cost = learner.validate(watch)
    cost = cost if math.isfinite(cost) else math.inf
    # Choices are finite, so policies tie; how a sum was rounded must not decide which is kept.
    if math.isfinite(cost) and cost < run.best_cost - TIE * abs(cost):
        run.best_cost, run.best_weights = cost, copy(learner.policy)
    row = {"iteration": run.iteration, "seconds": run.seconds, "cost": cost, "best_cost": run.best_cost}
    if run.iteration or not learner.config.iterations:
        run.curve.append({name: float(value) for name, value in row.items()})
    return {"validation_cost": cost}


def resolve_family(problem: Problem, instance: Instance, config: PDPPOConfig) -> str:
    """The policy family to train: the configured one, or the problem's choice."""
    return problem.default_family(instance) if config.family == "auto" else config.family


def _assemble(
    problem: Problem,
    instance: Instance,
    config: PDPPOConfig,
    family: str,
    simulator: Simulator[Any, Any, Any, Any],
    parts: Any = None,
) -> CriticisedPolicy[Any, Any, Any]:
    """Actor and critics; with a residual start on `parts`, or on empty tables that stored weights fill."""
    from models.choices import ChoicePolicy, CriticisedPolicy

    if problem.values is None:
        raise ValueError(f"{problem.name} has no critics")
    size = NetworkSize(config.width, config.depth)
    actor = problem.family(family).build(instance, simulator, size)
    if not isinstance(actor, ChoicePolicy):
        raise ValueError(f"{family} does not weigh choices: PDPPO cannot train it")
    # Only half steps make the post-decision critic the whole cost to go, and only tries tell it of other choices.
    scored = config.advantage == "half_step" and config.tries > 0
    values = problem.values(instance, simulator, size)
    values.discount = config.discount * simulator.discount
    if config.residual:
        from solvers.residual import Guide, ResidualActor, ResidualValues

        guide = Guide(empty_values(problem, instance) if parts is None else parts)
        actor, values = ResidualActor(actor, guide), ResidualValues(values, guide)
    return CriticisedPolicy(simulator, actor, values, config.sweeps, scored)


def build(problem: Problem, instance: Instance, config: PDPPOConfig, family: str) -> Policy[Any, Any]:
    """An untrained policy of the family with its critics, ready to take stored weights."""
    return _assemble(problem, instance, config, family, problem.simulator(instance))


def _needs(traits: Traits) -> list[str]:
    return [] if traits.discrete_decisions else ["PDPPO chooses from finite sets: these decisions are continuous"]


def _refuses(problem: Problem, instance: Instance, config: PDPPOConfig) -> list[Issue]:
    found = too_many(config.ranks, scenarios=config.scenarios, validation_scenarios=config.validation_scenarios)
    learned = [family.name for family in problem.families if family.role == "learned"]
    if problem.values is None:
        found.append(Issue("values", "error", "", f"{problem.name} has no critics"))
    if config.family != "auto":
        if config.family not in learned:
            detail = f"{problem.name} has no policy family {config.family!r} to train; it has {', '.join(learned)}"
            found.append(Issue("family", "error", "/family", detail))
        elif (reason := problem.family(config.family).refuses(instance)) is not None:
            found.append(Issue("family", "error", "/family", reason))
    if config.imitate is not None and config.imitate not in (able := teachers(problem, instance)):
        detail = f"nobody named {config.imitate!r} decides this instance; {', '.join(able) or 'nobody'} does"
        found.append(Issue("imitate", "error", "/imitate", detail))
    if config.residual:
        found += without_decomposition(problem, instance)
    if config.residual and config.advantage == "maximum":
        detail = "the published maximum splits costs by stream, which shaping would mix"
        found.append(Issue("residual", "error", "/residual", detail))
    if config.sweeps and config.advantage != "half_step":
        detail = "only with half steps is the post-decision critic the whole cost to go"
        found.append(Issue("sweeps", "error", "/sweeps", detail))
    if config.sweeps and not config.tries:
        detail = "without tries the post-decision critic knows nothing of choices that the policy does not make"
        found.append(Issue("sweeps", "error", "/sweeps", detail))
    return found


PDPPO = Solver(
    name="pdppo",
    title="PDPPO: proximal policy optimisation with post-decision states",
    summary="Learns discrete decisions by trying them, with one critic before the decision and one after it.",
    kind="train",
    config=PDPPOConfig,
    needs=_needs,
    train=train,
    train_rank=train_rank,
    build=build,
    refuses=_refuses,
    quick={"iterations": 2, "scenarios": 16, "stages": 8, "validation_scenarios": 32, "width": 16},
    source="Felizardo, Fadda, Brandimarte, Del-Moral-Hernandez, Nascimento, arXiv 2504.05150",
)
