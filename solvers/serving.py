"""A stored policy ready to answer: state documents in, feasible decisions in the planner's words out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.artifact import PolicyArtifact
from solvers.evaluation import check_feasible

if TYPE_CHECKING:
    from torch import Tensor

    from models.view import View

RANGE_MARGIN = 0.05  # how far outside the range seen in training still counts as inside, as a share of the range
REPAIRED = 1e-5  # relative difference from which a proposal counts as moved


class ServedPolicy:
    """One artifact, restored once and kept; thread-safe, because deciding changes nothing."""

    def __init__(self, artifact: PolicyArtifact) -> None:
        self.artifact = artifact
        self.problem, self.instance, self.policy = artifact.restore()
        self.simulator = self.problem.simulator(self.instance, counts=False)
        # Feasibility is settled in double precision: what is recommended adds up to what is there.
        self._exact = self.problem.simulator(self.instance, counts=False).double()
        self.view: View = self.problem.view(self.instance)

    def recommend(self, states: Sequence[object], explain: bool = False) -> list[dict[str, Any]]:
        """One answer per state document: decision, repairs, why, in_training_range, warnings.

        Raises:
            InvalidInput: a document breaks a rule; pointers are `/{row}/...`.
        """
        state, stage = self.view.decode(states)
        proposed, decision, inside = self._decide(state, stage)
        documents = self.view.encode(state, decision, stage)
        repairs = self.view.repairs(state, proposed, decision, stage)
        why = self.view.explain(state, decision, stage) if explain else [[] for _ in states]
        warnings = self.view.warnings(states)
        answers = []
        for row, document in enumerate(documents):
            notes = list(warnings[row])
            if not inside[row]:
                notes.append("the state lies outside the range seen in training: the policy extrapolates")
            answers.append(
                {
                    "decision": document,
                    "repairs": [asdict(repair) for repair in repairs[row]],
                    "why": why[row],
                    "in_training_range": bool(inside[row]),
                    "warnings": notes,
                }
            )
        return answers

    def recommend_columns(self, columns: Mapping[str, object]) -> dict[str, Any]:
        """Many states given as arrays, answered as arrays: decisions, in_training_range, and repaired (moved to fit).

        Raises:
            InvalidInput: a column breaks a rule; pointers are `/{field}/...`.
        """
        state, stage = self.view.decode_columns(columns)
        proposed, decision, inside = self._decide(state, stage)
        return {
            "decisions": self.view.encode_columns(state, decision, stage),
            "in_training_range": inside.tolist(),
            "repaired": _moved(proposed, decision).tolist(),
        }

    def _decide(self, state: Any, stage: Tensor) -> tuple[Any, Any, Tensor]:
        """Proposal, feasible decision and whether each state is in the training range; feasibility in float64."""
        with torch.inference_mode():
            single = state.to(torch.float32)
            proposed = self.policy.propose(single, stage).to(torch.float64)
            decision = self._exact.repair(state, proposed, stage)
            check_feasible(self._exact, state, decision, stage)
            return proposed, decision, self._in_range(self.policy.features(single, stage), len(stage))

    def _in_range(self, features: Tensor | None, rows: int) -> Tensor:
        known = self.artifact.training_range
        if features is None or not known:
            return torch.ones(rows, dtype=torch.bool)
        margin = RANGE_MARGIN * (known["high"] - known["low"]) + 1e-6
        inside = (features >= known["low"] - margin) & (features <= known["high"] + margin)
        return inside.reshape(rows, -1).all(1)


def _moved(proposed: Any, decision: Any) -> Tensor:
    """Whether any part of a row's proposal differs from its decision by more than rounding, relative to its size."""
    moved = torch.zeros(decision.batch, dtype=torch.bool)
    for name, given in vars(decision).items():
        asked = getattr(proposed, name)
        moved |= ((asked - given).abs() > REPAIRED * (1.0 + given.abs())).reshape(decision.batch, -1).any(1)
    return moved
