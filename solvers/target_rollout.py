"""What trajectories of targets cost, with gradients: the torch half of TS-DDR's training.

`Met` is for targets that are always reached: stage costs apart, by an oracle and HiGHS. `Aimed` is for targets that may
be missed at a price: one program a trajectory. Both deal their solves to lanes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from solvers.core import InnerSolveError
from solvers.holdings import held
from solvers.lanes import Lanes, processes_for
from solvers.stage_costs import Oracle, PathCosts, StageCosts, aiming, scaled, unit_of, with_targets

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from models.dynamics import Simulator
    from models.program import LinearProgram, Program, Vector
    from models.targets import Targets
    from solvers.target_policy import TargetPolicy
    from solvers.tsddr import TSDDRConfig

FIRST_CHECKS, MORE = 4, 4  # first calls, in which so many times more stages are re-checked
Solve = Callable[["Vector"], "tuple[Vector, Vector]"]


class _Priced(torch.autograd.Function):
    """Least costs (n,) of rows (n, m) of data by a solver that gives slopes too: what it solves is not differentiated
    through."""

    @staticmethod
    def forward(ctx: Any, data: Tensor, solve: Solve) -> Tensor:
        values, slopes = solve(data.detach().numpy())
        ctx.save_for_backward(torch.from_numpy(slopes))
        return torch.from_numpy(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (slopes,) = ctx.saved_tensors
        return gradients[0][:, None] * slopes, None


def priced(data: Tensor, solve: Solve) -> Tensor:
    """`solve(data)` as a function with gradients."""
    values: Tensor = _Priced.apply(data, solve)  # type: ignore[no-untyped-call]
    return values


@dataclass
class Checks:
    """How well the oracle answered."""

    solved: int = 0  # stages re-checked by HiGHS
    missed: int = 0  # stages whose targets could not be met
    gap: float = 0.0  # of the last call, relative: (exact − answered) / exact, mean of the stages re-checked
    calls: int = 0


class Trajectories(ABC):
    """Trajectories of one policy and what they cost."""

    lanes: Lanes

    def __init__(self, policy: TargetPolicy, simulator: Simulator[Any, Any, Any, Any], face: Program) -> None:
        self.policy, self.simulator, self.face = policy, simulator, face
        self.targets: Targets = policy.targets
        self.weights = simulator.discount ** torch.arange(face.num_stages + 1, dtype=torch.float64)

    @abstractmethod
    def costs(self, state: Any, noise: Any, exact: bool) -> Tensor:
        """Mean cost per stage of every scenario (batch,) [money/stage]; with `exact` no oracle answers."""

    def metrics(self) -> dict[str, float]:
        """How the solves go."""
        return {"remedies": float(self.lanes.work().remedies.total())}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; what lanes have solved is forgotten, as it is when a run goes on from here."""
        self.lanes.tell("restart")
        return {}

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""

    def walk(self, state: Any, noise: Any) -> tuple[list[Tensor], list[Tensor], Any]:
        """Program's states and targets of every stage, each (batch, …), and the last state."""
        prepared = self._prepared(state, noise)
        network, targets = self.policy.network, self.targets
        vectors, aims = [], []
        for stage in range(self.face.num_stages):
            share = network(prepared[stage], targets.levels(state))
            target = targets.reach(state, share, stage)
            vectors.append(targets.vector(state))
            aims.append(target)
            state = targets.following(state, target, noise, stage)
        return vectors, aims, state

    def _prepared(self, state: Any, noise: Any) -> Tensor:
        """What signals and calendar add to the first layer, all stages at once: decisions do not touch them."""
        stages, batch = self.face.num_stages, state.batch
        signals = []
        with torch.no_grad():
            still = torch.zeros(batch, len(self.targets.names), dtype=torch.float64)
            for stage in range(stages):
                signals.append(self.targets.signals(state))
                state = self.targets.following(state, still, noise, stage)
        calendar = torch.cat([self.targets.calendar(stage) for stage in range(stages)])
        calendar = calendar[:, None].expand(-1, batch, -1).reshape(stages * batch, -1)
        prepared = self.policy.network.prepare(torch.stack(signals).flatten(0, 1), calendar)
        return prepared.reshape(stages, batch, -1)

    def _totalled(self, costs: Tensor, last: Any) -> Tensor:
        """Discounted stage costs (batch, T) with what is left at the end, a stage."""
        total = costs @ self.weights[:-1]
        for component in self.simulator.terminal(last).components.values():
            total = total + self.weights[-1] * component
        return total / self.face.num_stages


@dataclass
class _Kind:
    """Stages with the same program."""

    program: LinearProgram  # of `with_targets`, scaled
    stages: list[int]
    shift: Tensor  # (touched, k + target): data → z
    price: Tensor  # (k + target,) what data cost
    oracle: Oracle = field(init=False)

    def __post_init__(self) -> None:
        self.oracle = Oracle(len(self.shift))


class Met(Trajectories):
    """Targets that are met: a trajectory falls apart into stages."""

    def __init__(
        self,
        policy: TargetPolicy,
        simulator: Simulator[Any, Any, Any, Any],
        face: Program,
        config: TSDDRConfig,
        generator: torch.Generator,
        helpers: Sequence[Connection] = (),
    ) -> None:
        super().__init__(policy, simulator, face)
        self.config, self.generator, self.checks = config, generator, Checks()
        places: dict[int, list[int]] = {}
        for stage in range(face.num_stages):
            places.setdefault(id(face.stage(stage)), []).append(stage)
        bare = [with_targets(face.stage(own[0]), self.targets.columns(own[0])) for own in places.values()]
        self.unit = unit_of(bare)
        self.kinds = [
            _kind(scaled(program, self.unit), own) for program, own in zip(bare, places.values(), strict=True)
        ]
        programs = [kind.program for kind in self.kinds]
        holding = held(StageCosts, programs, float(policy.price) * self.unit)
        self.lanes = Lanes(holding, config.lanes, processes_for(config.lanes, config.processes), helpers)

    def costs(self, state: Any, noise: Any, exact: bool) -> Tensor:
        vectors, aims, last = self.walk(state, noise)
        columns: list[Tensor] = [vectors[0]] * self.face.num_stages
        self.checks.calls += not exact
        self.checks.gap = 0.0
        for number, kind in enumerate(self.kinds):
            data = torch.stack([torch.cat((vectors[t], aims[t]), dim=1) for t in kind.stages])
            rows = data.flatten(0, 1)
            solve = self._exactly if exact or not self.config.oracle else self._answered
            found = priced(rows @ kind.shift.T, partial(solve, number)) + rows @ kind.price
            for stage, column in zip(kind.stages, found.reshape(len(kind.stages), -1), strict=True):
                columns[stage] = column
        return self._totalled(torch.stack(columns, 1) / self.unit, last)

    def metrics(self) -> dict[str, float]:
        vertices = sum(len(kind.oracle) for kind in self.kinds)
        own = {"vertices": vertices, "oracle_gap": self.checks.gap, "checked": self.checks.solved}
        own |= {"missed": self.checks.missed}
        return super().metrics() | {name: float(value) for name, value in own.items()}

    def state(self) -> dict[str, Any]:
        kept = [[torch.from_numpy(kind.oracle.slopes), torch.from_numpy(kind.oracle.heights)] for kind in self.kinds]
        return super().state() | {"vertices": kept, "calls": self.checks.calls, "checked": self.checks.solved}

    def restore(self, state: Mapping[str, Any]) -> None:
        for kind, (slopes, heights) in zip(self.kinds, state["vertices"], strict=True):
            kind.oracle.restore(slopes.numpy(), heights.numpy())
        self.checks.calls, self.checks.solved = int(state["calls"]), int(state["checked"])

    def _exactly(self, number: int, shifts: Vector) -> tuple[Vector, Vector]:
        """f and ∂f/∂z by HiGHS, rows dealt to the lanes; what they teach is kept."""
        parts = np.array_split(shifts, min(self.config.lanes, len(shifts)))
        found = self.lanes.ask("solve", [(number, part) for part in parts])
        values, duals = np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])
        self.checks.missed += sum(part[2] for part in found)
        if self.config.oracle:
            self.kinds[number].oracle.learn(shifts, values, duals)
        return values, -duals

    def _answered(self, number: int, shifts: Vector) -> tuple[Vector, Vector]:
        """The same by the oracle, but for a sample that HiGHS re-checks."""
        oracle = self.kinds[number].oracle
        if not len(oracle):
            return self._exactly(number, shifts)
        values, duals = oracle.answer(shifts)
        slopes = -duals
        checks = self.config.checks * (MORE if self.checks.calls <= FIRST_CHECKS else 1)
        own = len(self.kinds[number].stages) / self.face.num_stages
        wanted = min(math.ceil(checks * own), len(shifts))
        if wanted:
            rows = torch.randperm(len(shifts), generator=self.generator)[:wanted].numpy()
            exact, steep = self._exactly(number, shifts[rows])
            gap = float(((exact - values[rows]) / np.maximum(np.abs(exact), 1e-9)).mean())
            self.checks.gap = max(self.checks.gap, gap)
            self.checks.solved += wanted
            values[rows], slopes[rows] = exact, steep
        return values, slopes


class Aimed(Trajectories):
    """Targets that may be missed at a price: one program over all stages, targets first, states after."""

    def __init__(
        self,
        policy: TargetPolicy,
        simulator: Simulator[Any, Any, Any, Any],
        face: Program,
        config: TSDDRConfig,
        helpers: Sequence[Connection] = (),
    ) -> None:
        from models.program import chain

        super().__init__(policy, simulator, face)
        self.config = config
        penalty = float(policy.price)
        stages = [aiming(face.stage(t), self.targets.columns(t), penalty) for t in range(face.num_stages)]
        final = face.final()
        parts = stages if final is None else [*stages, final]
        weights = (self.weights / face.num_stages).numpy()[: len(parts)]
        program = chain(parts, weights).program
        self.unit = unit_of([program])
        count = len(self.targets.names)
        ends = np.cumsum([len(stage.noises) for stage in stages])
        self.places = (ends[:, None] - count + np.arange(count)).ravel()
        holding = held(PathCosts, scaled(program, self.unit), self.places)
        self.lanes = Lanes(holding, config.lanes, processes_for(config.lanes, config.processes), helpers)

    def costs(self, state: Any, noise: Any, exact: bool) -> Tensor:
        _, aims, _ = self.walk(state, noise)
        states = self.face.state_vector(state)
        paths = [self.face.noise_vector(noise, stage) for stage in range(self.face.num_stages)]
        solve = partial(self._solve, states, paths)
        return priced(torch.stack(aims, 1).flatten(1), solve) / self.unit

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing is kept but what lanes have solved."""

    def _solve(self, states: Vector, paths: Sequence[Vector], aims: Vector) -> tuple[Vector, Vector]:
        """Least costs and their slopes over all targets (n, T · target), rows dealt to the lanes."""
        own = aims.reshape(len(aims), len(paths), -1)
        noise = np.concatenate([np.concatenate([path, own[:, t]], axis=1) for t, path in enumerate(paths)], axis=1)
        lanes = min(self.config.lanes, len(states))
        parts = list(zip(np.array_split(states, lanes), np.array_split(noise, lanes), strict=True))
        found = self.lanes.ask("solve", parts)
        return np.concatenate([part[0] for part in found]), np.concatenate([part[1] for part in found])


def coupled(face: Program, targets: Targets) -> str | None:
    """Why stages do not fall apart even where targets are met; None if they do.

    Raises:
        InnerSolveError: noise strikes within a stage: what it costs to end at a target is not known when deciding.
    """
    for stage in range(face.num_stages):
        program = face.stage(stage)
        if program.noise_matrix.count_nonzero() or program.noise_cost.any():
            raise InnerSolveError("noise strikes within a stage: targets are for problems whose noise is seen before")
        own = program.outgoing[program.outgoing < len(program.columns)]
        free = np.setdiff1d(own, targets.columns(stage))
        if len(free):
            return f"{program.columns[free[0]]} goes on into the next stage and is no target"
    return None


def dearest(face: Program, targets: Targets, state: Any, noise: Any) -> float:
    """The largest price of a unit of target with hindsight, along paths [money/unit]: a penalty must be above it."""
    from solvers.highs import HotProgram

    chained = face.horizon(np.ones(face.num_stages + 1))
    hot = HotProgram(chained.program)
    largest = 0.0
    for vector, path in zip(face.state_vector(state), face.noise_path(noise), strict=True):
        hot.set_data(vector, path)
        hot.solve().require("hindsight, to price targets")
        duals = hot.row_duals()
        for stage in range(1, face.num_stages):
            program = face.stage(stage)
            prices = program.state_cost - program.state_matrix.T @ chained.rows_of(duals, stage)
            aimed = np.isin(face.stage(stage - 1).outgoing, targets.columns(stage - 1))
            largest = max(largest, float(np.abs(prices[aimed]).max(initial=0.0)))
    return largest


def _kind(program: LinearProgram, stages: list[int]) -> _Kind:
    matrix = program.state_matrix.tocsr()[program.touched].toarray()
    return _Kind(program, stages, torch.from_numpy(matrix), torch.from_numpy(program.state_cost))
