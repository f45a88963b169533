"""A policy that is a table: the decision of every state, stage by stage. See `solvers.value_iteration`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.core import Instance, Problem
from models.dynamics import Policy, Stage
from solvers.value_iteration import NAME, kept_stages

if TYPE_CHECKING:
    from models.choices import Choices
    from models.finite import Finite
    from solvers.value_iteration import ValueIterationConfig


class TablePolicy(Policy[Any, Any]):
    """Looks its decision up.

    Raises:
        ValueError: the instance has no table, or its decisions are not made of choices.
    """

    name = NAME
    tables: Tensor  # (stage kept, state) decisions; the last is that of the last stage
    settled: Tensor  # () whether stages before the kept ones decide as the first of them; average: the bounds met
    cost: Tensor  # () least expected cost per stage [money/stage]; nan if stopped before it was known

    def __init__(self, problem: Problem, instance: Instance, config: ValueIterationConfig) -> None:
        super().__init__()
        if problem.finite is None:
            raise ValueError(f"{problem.name} has no table of its states")
        self.face: Finite[Any] = problem.finite.of(instance)
        simulator = problem.simulator(instance, counts=False)
        if simulator.choices is None:
            raise ValueError(f"{problem.name} has no finite choices")
        self.choices: Choices[Any, Any] = simulator.choices
        kept = kept_stages(self.face, config)
        kind = torch.uint8 if self.face.num_decisions <= 256 else torch.int32
        self.register_buffer("tables", torch.zeros((kept, self.face.num_states), dtype=kind))
        self.register_buffer("settled", torch.tensor(True))
        self.register_buffer("cost", torch.tensor(float("nan"), dtype=torch.float64))

    def propose(self, state: Any, stage: Stage) -> Any:
        """The decision the table holds."""
        skipped = self.face.num_stages - len(self.tables)
        row = torch.as_tensor(stage).sub(skipped).clamp(0, len(self.tables) - 1)
        decision = self.tables[row.expand(state.batch), self.face.place(state)]
        return self.choices.decision(self.face.choice(decision.long()))

    def forward(self, state: Any, stage: Stage) -> Any:
        """The same: tables hold feasible decisions only."""
        return self.propose(state, stage)

    def describe(self) -> dict[str, Any]:
        """What the table is, and what it costs."""
        told: dict[str, Any] = {"states": self.face.num_states, "decision_tables": len(self.tables)}
        if not self.cost.isnan():
            told["optimal_cost_per_stage"] = float(self.cost)
        return told | {"settled": bool(self.settled)}
