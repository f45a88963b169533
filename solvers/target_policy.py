"""Networks that propose targets, and the policy that reaches them by one program.

See `solvers.tsddr` for the equations; torch is imported here and not there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.core import Instance, Problem
from models.dynamics import Policy, Simulator, Stage
from solvers.core import InnerSolveError
from solvers.full_stages import MOST_SCENARIOS, InFull

if TYPE_CHECKING:
    from models.program import LinearProgram, Program, Vector
    from models.targets import Targets
    from solvers.highs import Basis, HotProgram

Kind = Literal["lstm", "linear"]
EDGE = 0.03  # the sigmoid is stretched by so much at both ends: the limits themselves can be proposed


class TargetNetwork(nn.Module):
    """Shares of what can be reached, from signals (which decisions do not touch), levels and the calendar.

    lstm: an LSTM's code of the signals, then two hidden layers (TS-DDR). linear: no hidden layer (TS-LDR). Weights are
    float32; what is reached and paid is double.
    """

    def __init__(self, signals: int, steps: int, levels: int, calendar: int, targets: int, kind: Kind, width: int):
        super().__init__()
        self.encoder = nn.LSTM(signals, width, batch_first=True) if kind == "lstm" else None
        code = signals * steps if kind == "linear" else width
        out = targets if kind == "linear" else width
        self.from_code = nn.Linear(code, out)
        self.from_levels = nn.Linear(levels, out, bias=False)
        self.from_calendar = nn.Linear(calendar, out, bias=False)
        hidden: list[nn.Module] = [nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, targets)]
        self.head = nn.Sequential(*hidden) if kind == "lstm" else nn.Identity()

    def prepare(self, signals: Tensor, calendar: Tensor) -> Tensor:
        """What signals (n, step, entry) and calendar (n or 1, entry) add to the first layer (n, out)."""
        signals = signals.to(self.from_code.weight.dtype)
        code = signals.flatten(1) if self.encoder is None else self.encoder(signals)[0][:, -1]
        prepared: Tensor = self.from_code(code) + self.from_calendar(calendar.to(code.dtype))
        return prepared

    def forward(self, prepared: Tensor, levels: Tensor) -> Tensor:
        """Shares (batch, target) in [0, 1], in the precision of the levels."""
        proposed = torch.sigmoid(self.head(prepared + self.from_levels(levels.to(prepared.dtype))))
        return ((proposed.to(levels.dtype) - EDGE) / (1 - 2 * EDGE)).clamp(0.0, 1.0)


class TargetPolicy(Policy[Any, Any]):
    """Proposes where the stage is to end; a program finds the cheapest way there.

    With `strict`, targets are met wherever that is feasible; elsewhere, and without it, they are aimed at and missed at
    a `price` [money/unit]. Thread-safe: programs are solved one at a time, each from the same basis, so that a decision
    is a function of state and stage.
    """

    precision = torch.float64  # a target may be met to the last drop
    range_scenarios = 64
    strict: Tensor
    price: Tensor

    def __init__(self, problem: Problem, instance: Instance, kind: Kind, width: int) -> None:
        super().__init__()
        if problem.targets is None or problem.program is None:
            raise InnerSolveError(f"{problem.name} has no targets")
        self.register_buffer("strict", torch.ones((), dtype=torch.bool))
        self.register_buffer("price", torch.ones((), dtype=torch.float64))
        self.problem, self.instance = problem, instance
        self._simulators: dict[torch.dtype, Simulator[Any, Any, Any, Any]] = {}
        exact = self._dynamics(torch.float64)
        self.targets: Targets = problem.targets(instance, exact)
        state = exact.initial(1, torch.Generator().manual_seed(0))
        signals, levels = self.targets.signals(state), self.targets.levels(state)
        sizes = (signals.shape[2], signals.shape[1], levels.shape[1], self.targets.calendar(0).shape[1])
        self.network = TargetNetwork(*sizes, len(self.targets.names), kind, width)
        self._lock = threading.Lock()
        self._ways: _Ways | None = None
        self._in_full = InFull(problem, instance)
        if self._in_full.needed:
            self.range_scenarios = MOST_SCENARIOS

    def target(self, state: Any, stage: Stage) -> Tensor:
        """Where the stage is to end (batch, target), from a state in double precision."""
        prepared = self.network.prepare(self.targets.signals(state), self.targets.calendar(stage))
        return self.targets.reach(state, self.network(prepared, self.targets.levels(state)), stage)

    def propose(self, state: Any, stage: Stage) -> Any:
        like = next(iter(vars(state).values()))
        exact = state.to("cpu").to(torch.float64)
        with torch.no_grad():
            target = self.target(exact, stage).numpy()
        stages = np.broadcast_to(np.asarray(stage), (state.batch,))
        with self._lock:
            if self._ways is None:
                assert self.problem.program is not None
                start = self._dynamics(torch.float64).initial(1, torch.Generator().manual_seed(0))
                self._ways = _Ways(self.problem.program(self.instance), self.targets, self._mode(), start)
            ways = self._ways
            vectors = ways.face.state_vector(exact)
            rows = zip(stages.tolist(), vectors, target, strict=True)
            solved = [ways.solve(own, vector, aim) for own, vector, aim in rows]
        columns, duals = (np.stack(part) for part in zip(*solved, strict=True))
        decision = ways.face.priced(ways.face.decision(columns, int(stages[0])), duals, int(stages[0]))
        return self._in_full(exact, decision, stage).to(like.device).to(like.dtype)

    def forward(self, state: Any, stage: Stage) -> Any:
        like = next(iter(vars(state).values()))
        return self._dynamics(like.dtype).repair(state, self.propose(state, stage), stage)

    def features(self, state: Any, stage: Stage) -> Tensor:
        exact = state.to(torch.float64)
        return torch.cat((self.targets.signals(exact).flatten(1), self.targets.levels(exact)), dim=1).float()

    def describe(self) -> dict[str, Any]:
        strict, price = self._mode()
        mode = "strict: targets are met" if strict else "penalty: targets are aimed at, at a price"
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        return {"targets": list(self.targets.names), "mode": mode, "price": price, "weights": weights}

    def _mode(self) -> tuple[bool, float]:
        return bool(self.strict), float(self.price)

    def _dynamics(self, dtype: torch.dtype) -> Simulator[Any, Any, Any, Any]:
        """The dynamics in the state's precision."""
        if dtype not in self._simulators:
            self._simulators[dtype] = self.problem.simulator(self.instance, counts=False).to(dtype)
        return self._simulators[dtype]


class _Ways:
    """Every kind of stage as hot programs that end at a target or near it."""

    def __init__(self, face: Program, targets: Targets, mode: tuple[bool, float], start: Any) -> None:
        self.face, self.targets, self.start = face, targets, start
        self.strict, self.price = mode
        self._hot: dict[tuple[int, bool], tuple[HotProgram, Basis]] = {}

    def solve(self, stage: int, state: Vector, target: Vector) -> tuple[Vector, Vector]:
        """The stage's columns (n,) and its rows' duals (r,)."""
        program = self.face.stage(stage)
        hot, optimal = self._attempt(program, stage, state, target, self.strict)
        if not optimal:
            hot, optimal = self._attempt(program, stage, state, target, False)
        if not optimal:
            raise InnerSolveError(f"stage {stage}: no decision is feasible from this state{hot.at_odds()}")
        return hot.columns()[: len(program.columns)], hot.row_duals()[: len(program.rows)]

    def _attempt(
        self, program: LinearProgram, stage: int, state: Vector, target: Vector, met: bool
    ) -> tuple[HotProgram, bool]:
        key = (id(program), met)
        if key not in self._hot:
            self._hot[key] = self._pass(program, stage, met)
        hot, basis = self._hot[key]
        hot.start_from(basis)
        return hot, self._solved(hot, program, stage, state, target, met)

    def _pass(self, program: LinearProgram, stage: int, met: bool) -> tuple[HotProgram, Basis]:
        """The program, and the basis to start from: that of the first state, halfway through what it can reach."""
        from solvers.highs import HotProgram
        from solvers.stage_costs import aiming

        aims = self.targets.columns(stage)
        hot = HotProgram(program if met else aiming(program, aims, self.price))
        half = torch.full((1, len(aims)), 0.5, dtype=torch.float64)
        target = self.targets.reach(self.start, half, stage)[0].numpy()
        self._solved(hot, program, stage, self.face.state_vector(self.start)[0], target, met)
        return hot, hot.basis()

    def _solved(
        self, hot: HotProgram, program: LinearProgram, stage: int, state: Vector, target: Vector, met: bool
    ) -> bool:
        noise = np.zeros(len(program.noises))
        if met:
            hot.set_column_bounds(self.targets.columns(stage).astype(np.int32), target, target)
        else:
            noise = np.concatenate([noise, target])
        hot.set_data(state, noise)
        return hot.solve().status == "optimal"
