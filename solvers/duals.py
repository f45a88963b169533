"""Constraints in expectation by Lagrangian duality: prices of slack, raised while a constraint is broken.

The primal loss is the augmented Lagrangian (Rockafellar 1973); with s the slack of a constraint (at most zero on
average is wanted), u the unit of cost and r the slack's root mean square, both measured once,

    L = cost/u + Σ (max(0, λ + ρ s/r)² − λ²) / 2ρ,      λ ← min(max(0, λ + η s/r), cap)

λ is free of units; λ u/r is the price of a unit of slack [money]. The quadratic term damps the spiral of plain ascent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from solvers.rollout import Outcome

DAMPING = 1.0  # ρ
CAP = 1e3  # largest λ: a constraint that asks for more is out of reach
TOLERANCE = 0.01  # slack, in its root mean square, up to which a constraint counts as met


class Duals:
    """The multipliers of one instance's constraints."""

    def __init__(self, outcome: Outcome, unit: float, prices: Mapping[str, float] | None = None) -> None:
        """Scales are those of a first rollout; `prices` [money/unit of slack] are where the multipliers start."""
        self.names = outcome.names
        self.unit = unit
        self.size = outcome.slack_sizes.detach().clamp_min(1e-9)
        start = [(prices or {}).get(name, 0.0) for name in self.names]
        self.multipliers = torch.tensor(start, device=self.size.device) * self.size / unit

    @property
    def prices(self) -> dict[str, float]:
        """The price of a unit of slack of every constraint [money]."""
        return dict(zip(self.names, (self.multipliers * self.unit / self.size).tolist(), strict=True))

    def penalty(self, outcome: Outcome) -> Tensor:
        """What the constraints add to the scaled loss."""
        reach = (self.multipliers + DAMPING * outcome.slacks / self.size).clamp_min(0.0)
        return (reach.square() - self.multipliers.square()).sum() / (2 * DAMPING)

    def ascend(self, outcome: Outcome, rate: float) -> None:
        """One step of dual ascent, in place: a recorded step reads the multipliers where they are."""
        self.multipliers.add_(rate * outcome.slacks.detach() / self.size).clamp_(0.0, CAP)

    def violation(self, outcome: Outcome) -> float:
        """The largest slack in its own scale, beyond the tolerance; zero if every constraint is met."""
        if not self.names:
            return 0.0
        return max(float((outcome.slacks / self.size).max()) - TOLERANCE, 0.0)

    def report(self, slacks: Tensor) -> dict[str, dict[str, float]]:
        """Every constraint's price and tolerance, with its slack on validation scenarios."""
        rows = zip(self.names, slacks.tolist(), self.size.tolist(), strict=True)
        return {
            name: {"price": self.prices[name], "slack": slack, "tolerance": TOLERANCE * size}
            for name, slack, size in rows
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"multipliers": self.multipliers.clone(), "size": self.size.clone()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.multipliers.copy_(state["multipliers"])
        self.size.copy_(state["size"])
