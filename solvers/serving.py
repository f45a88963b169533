"""A stored policy ready to answer: state documents in, feasible decisions in the planner's words out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from models.course import Alert, Course, Step
from models.figures import documents
from models.lazy import torch
from models.view import plain
from solvers.artifact import PolicyArtifact
from solvers.course import follow
from solvers.evaluation import check_feasible

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Policy
    from models.view import View

log = logging.getLogger(__name__)

RANGE_MARGIN = 0.05  # how far outside the range seen in training still counts as inside, as a share of the range
MOST_NAMED = 3  # features named when a state lies outside
COMPARED = 64  # states whose alternatives are weighed together: each has as many rows as it has choices
REPAIRED = 1e-5  # relative difference from which a proposal counts as moved
FAR_ROWS = 1024  # states at once from which another device than the CPU is worth the way there
FAR_FROM = 1e-3  # relative difference from which another device's proposal counts as another


class ServedPolicy:
    """One artifact, restored once and kept; thread-safe, because deciding changes nothing.

    With a `device` that is not the CPU, proposals for at least `far_rows` states at once are computed there, if the
    policy decides there as it does on the CPU; feasibility is settled on the CPU in any case.
    """

    def __init__(self, artifact: PolicyArtifact, device: str = "cpu", far_rows: int = FAR_ROWS) -> None:
        self.artifact = artifact
        self.problem, self.instance, self.policy = artifact.restore()
        self.simulator = self.problem.simulator(self.instance, counts=False)
        # Feasibility is settled in double precision: what is recommended adds up to what is there.
        self._exact = self.problem.simulator(self.instance, counts=False).double()
        self.view: View = self.problem.view(self.instance)
        self.far_rows = far_rows
        self.device = device
        self.far = self._moved_to(device) if device != "cpu" else None

    def _moved_to(self, device: str) -> Policy[Any, Any] | None:
        """The policy on another device; None if it has no weights, does not decide there, or not as it does here."""
        if not self.artifact.weights:
            return None
        state, stage = self.view.decode([self.view.today()])
        try:
            with torch.inference_mode():
                far = self.artifact.restore()[2].to(device)
                there = _proposed(far, state, stage, device)[0]
        except (RuntimeError, NotImplementedError, TypeError) as error:
            log.info("the policy decides on the CPU alone: %s", error)
            return None
        here = _proposed(self.policy, state, stage, "cpu")[0]
        return far if not bool(_moved(here, there, FAR_FROM).any()) else None

    def recommend(self, states: Sequence[object], explain: bool = False, figures: bool = False) -> list[dict[str, Any]]:
        """One answer per state document: decision, repairs, why, in_training_range, warnings.

        With `explain` also alerts, and a schedule where the view has one; with `figures` what the view draws.

        Raises:
            InvalidInput: a document breaks a rule; pointers are `/{row}/...`.
        """
        state, stage = self.view.decode(states)
        proposed, decision, features = self._decide(state, stage)
        inside = self._in_range(features, len(states))
        documents = self.view.encode(state, decision, stage)
        repairs = self.view.repairs(state, proposed, decision, stage)
        why = self._explain(state, decision, stage) if explain else [[] for _ in states]
        warnings = self.view.warnings(states)
        alerts = self.view.alerts(state, decision, stage) if explain else []
        answers = []
        for row, document in enumerate(documents):
            notes = list(warnings[row])
            if not inside[row]:
                notes.append(self._extrapolation(features[row]))
            answer = {
                "decision": document,
                "repairs": [asdict(repair) for repair in repairs[row]],
                "why": why[row],
                "in_training_range": bool(inside[row]),
                "warnings": notes,
            }
            if explain or figures:
                place = slice(row, row + 1)
                first = (state.rows(place), decision.rows(place), stage[place])
            if explain:
                outside = [] if inside[row] else [_outside(notes[-1])]
                answer["alerts"] = [asdict(alert) for alert in (*outside, *alerts[row])]
            if explain and self.view.scheduled_periods:
                answer["schedule"] = self.view.schedule(self._follow(first, self.view.scheduled_periods).expected)
            if figures:
                answer["figures"] = self._figures(first)
            answers.append(answer)
        return answers

    def _follow(self, first: Step, stages: int, with_fan: bool = False) -> Course:
        return follow(self._exact, lambda state, stage: self._decide(state, stage)[1], first, stages, with_fan)

    def _figures(self, first: Step) -> list[dict[str, Any]]:
        """What the view draws of the coming stages under the policy."""
        if not self.view.course_stages:
            return []
        return documents(self.view.figures(self._follow(first, self.view.course_stages, with_fan=True)))

    def _explain(self, state: Any, decision: Any, stage: Tensor) -> list[list[str]]:
        """Sentences for every row, with what the policy would decide in the view's variants of the row."""
        probed: list[Any | None] = []
        for row in range(state.batch):
            variants = self.view.probes(state.rows(slice(row, row + 1)))
            asked = None if variants is None else self._decide(variants, stage[row].expand(variants.batch))[1]
            probed.append(asked)
        said = self.view.explain(state, decision, stage, probed)
        more = self._compared(state, decision, stage)
        return [own + other for own, other in zip(said, more, strict=True)]

    def _compared(self, state: Any, decision: Any, stage: Tensor) -> list[list[str]]:
        """The decision beside its alternatives, where the policy's critics know what they would cost."""
        found: list[list[str]] = []
        for start in range(0, state.batch, COMPARED):
            rows = slice(start, start + COMPARED)
            part = state.rows(rows), decision.rows(rows), stage[rows]
            with torch.inference_mode():
                single, decided = part[0].to(torch.float32), part[1].to(torch.float32)
                alternatives = self.policy.alternatives(single, decided, part[2])
            if alternatives is None:
                return [[] for _ in range(state.batch)]
            found += self.view.compare(*part, alternatives)
        return found

    def recommend_columns(self, columns: Mapping[str, object]) -> dict[str, Any]:
        """Many states given as arrays, answered as arrays: decisions, in_training_range, and repaired (moved to fit).

        Raises:
            InvalidInput: a column breaks a rule; pointers are `/{field}/...`.
        """
        state, stage = self.view.decode_columns(columns)
        proposed, decision, features = self._decide(state, stage)
        return {
            "decisions": self.view.encode_columns(state, decision, stage),
            "in_training_range": self._in_range(features, decision.batch).tolist(),
            "repaired": _moved(proposed, decision).tolist(),
        }

    def decide(self, state: Any, stage: Tensor) -> Any:
        """Feasible decisions for states as the view decodes them, in float64."""
        return self._decide(state, stage)[1]

    def _decide(self, state: Any, stage: Tensor) -> tuple[Any, Any, Any]:
        """Proposal, feasible decision and the policy's features of the state; feasibility in float64."""
        far = self.far if state.batch >= self.far_rows else None
        with torch.inference_mode():
            if far is None:
                proposed, features = _proposed(self.policy, state, stage, "cpu")
            else:
                proposed, features = _proposed(far, state, stage, self.device)
            decision = self._exact.repair(state, proposed, stage)
            check_feasible(self._exact, state, decision, stage)
            return proposed, decision, features

    def _in_range(self, features: Tensor | None, rows: int) -> Tensor:
        if features is None or not self.artifact.training_range:
            return torch.ones(rows, dtype=torch.bool)
        return (self._excess(features) <= 0).reshape(rows, -1).all(1)

    def _excess(self, features: Tensor) -> Tensor:
        """How far every feature lies outside what training saw, margin allowed, as a share of that range."""
        low, high = self.artifact.training_range["low"], self.artifact.training_range["high"]
        width = high - low
        margin = RANGE_MARGIN * width + 1e-6
        return torch.maximum(low - margin - features, features - high - margin) / (width + 1e-6)

    def _extrapolation(self, features: Tensor) -> str:
        """Which features of a state lie outside what training saw, furthest first."""
        said = "the state lies outside the range seen in training: the policy extrapolates"
        names = self.policy.feature_names()
        excess = self._excess(features).flatten()
        if len(names) != len(excess):
            return said
        low, high = (self.artifact.training_range[end].flatten() for end in ("low", "high"))
        worst = [k for k in excess.argsort(descending=True).tolist()[:MOST_NAMED] if excess[k] > 0]
        told = [
            f"{names[k].name} is {plain(float(features.flatten()[k]) * names[k].scale)}, training saw "
            f"{plain(float(low[k]) * names[k].scale)} to {plain(float(high[k]) * names[k].scale)}"
            for k in worst
        ]
        return f"{said} ({'; '.join(told)})"


def _outside(detail: str) -> Alert:
    return Alert("warning", "", "Outside the range seen in training", detail)


def _proposed(policy: Policy[Any, Any], state: Any, stage: Tensor, device: str) -> tuple[Any, Tensor | None]:
    """What a policy on a device proposes, in float64, and its features of the state; both on the CPU."""
    single, stage = state.to(policy.precision).to(device), stage.to(device)
    proposed, features = policy.propose(single, stage), policy.features(single, stage)
    return proposed.to("cpu").to(torch.float64), None if features is None else features.cpu()


def _moved(proposed: Any, decision: Any, least: float = REPAIRED) -> Tensor:
    """Whether any part of a row's proposal differs from its decision by more than `least`, relative to its size."""
    moved = torch.zeros(decision.batch, dtype=torch.bool)
    for name, given in vars(decision).items():
        asked = getattr(proposed, name)
        moved |= ((asked - given).abs() > least * (1.0 + given.abs())).reshape(decision.batch, -1).any(1)
    return moved
