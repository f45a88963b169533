"""Scenarios that stand at different stages side by side, and what a rollout of them saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.advantages import Rollout
from solvers.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Simulator

COHORTS = 16  # groups of scenarios that stand at the same stage


class Rows:
    """Scenarios side by side, in cohorts that stand at the same stage; stages are known here, never asked of a GPU.

    A cohort that reaches the horizon, or its restart, begins anew with states and noise of its own draw; the state the
    generator was in is kept, so that a checkpoint need not hold noise. Every rank draws all rows and keeps its own.
    """

    def __init__(
        self,
        simulator: Simulator[Any, Any, Any, Any],
        scenarios: int,
        restart_stages: int | None,
        generator: torch.Generator,
        ranks: Ranks = ALONE,
    ) -> None:
        self.simulator, self.generator, self.ranks = simulator, generator, ranks
        self.total, self.own = scenarios, ranks.part(scenarios)  # rows of all ranks, and which are this one's
        horizon = simulator.num_stages
        self.span = min(restart_stages or horizon, horizon)
        count = min(COHORTS, scenarios, self.span)
        cuts = [scenarios * k // count for k in range(count + 1)]
        self._drawn_rows = [slice(start, stop) for start, stop in pairwise(cuts)]
        self.cohorts = [_within(rows, self.own) for rows in self._drawn_rows]  # of the own rows; some may have none
        self.at = [horizon * k // count for k in range(count)]  # stage of every cohort
        self.left = [self.span - self.span * k // count for k in range(count)]  # stages to its restart
        self.drawn: list[Tensor] = [generator.get_state()] * count
        self.state, self.noise = self._draw(0, slice(scenarios), self.own)
        self.stage = torch.zeros(self.own.stop - self.own.start, dtype=torch.long, device=generator.device)
        for cohort in range(count):
            self.begin(cohort)

    def _draw(self, cohort: int, rows: slice, own: slice) -> tuple[Any, Any]:
        """States and noise of the own ones of these rows of all ranks."""
        self.drawn[cohort] = self.generator.get_state()
        size, kept = rows.stop - (rows.start or 0), _within(own, rows)
        state, noise = self.simulator.initial(size, self.generator), self.simulator.sample(size, self.generator)
        return state.rows(kept).map(torch.clone), noise.rows(kept).map(torch.clone)

    def begin(self, cohort: int) -> None:
        """New scenarios for a cohort, at the stage noted for it."""
        rows = self.cohorts[cohort]
        state, noise = self._draw(cohort, self._drawn_rows[cohort], self.own)
        self.state = self.state.map(torch.clone)  # what a stage returned may be shared with what is remembered
        _write(self.state, rows, state)
        _write(self.noise, rows, noise)
        self.stage[rows] = self.at[cohort]

    def step(self, decision: Any) -> tuple[Any, Tensor, Tensor]:
        """One stage of every row: post-decision states, cost of the decision, cost of the noise."""
        post, decided = self.simulator.decide(self.state, decision, self.stage)
        self.state, realized = self.simulator.realize(post, self.noise, self.stage)
        self.stage = self.stage + 1
        self.at = [stage + 1 for stage in self.at]
        self.left = [left - 1 for left in self.left]
        like = self.stage.new_zeros(len(self.stage), dtype=torch.get_default_dtype())
        return post, decided.total if decided.components else like, realized.total if realized.components else like

    def over(self) -> list[tuple[int, bool]]:
        """Cohorts to restart now, and whether they are at the horizon."""
        horizon = self.simulator.num_stages
        pairs = enumerate(zip(self.at, self.left, strict=True))
        return [(cohort, at == horizon) for cohort, (at, left) in pairs if at == horizon or left == 0]

    def restart(self, cohort: int) -> None:
        """Begin anew: at the first stage, or anywhere if restarts are configured."""
        horizon = self.simulator.num_stages
        somewhere = (self.at[cohort] + int(0.618 * horizon)) % horizon
        self.at[cohort] = 0 if self.span == horizon else somewhere
        self.left[cohort] = self.span
        self.begin(cohort)

    def kept(self) -> dict[str, Any]:
        """What a checkpoint holds of the rows."""
        whole = {name: self.ranks.whole(tensor, self.total) for name, tensor in vars(self.state).items()}
        state = {name: tensor.clone() for name, tensor in whole.items()}
        drawn = [tensor.clone() for tensor in self.drawn]
        return {"state": state, "at": list(self.at), "left": list(self.left), "drawn": drawn}

    def renew(self, kept: Mapping[str, Any]) -> None:
        """New scenarios at the stages of a checkpoint whose own cannot be drawn again."""
        self.at, self.left = [int(v) for v in kept["at"]], [int(v) for v in kept["left"]]
        for cohort in range(len(self.at)):
            self.begin(cohort)

    def resume(self, kept: Mapping[str, Any]) -> None:
        """The rows a checkpoint holds; the noise is drawn again from the generator's state of then."""
        self.at, self.left = [int(v) for v in kept["at"]], [int(v) for v in kept["left"]]
        for cohort, drawn in enumerate(kept["drawn"]):
            self.generator.set_state(drawn.cpu())
            self.begin(cohort)
        own = {name: value[self.own].to(self.stage.device) for name, value in kept["state"].items()}
        self.state = type(self.state)(**own)

    def lessons(self, chosen: Tensor) -> Tensor:
        """Which of the chosen ones of all ranks' (stage · row) lessons are the own ones, as numbered in `Memory`."""
        if self.ranks.alone:
            return chosen
        stage, row = chosen // self.total, chosen % self.total - self.own.start
        count = self.own.stop - self.own.start
        mine = (row >= 0) & (row < count)
        own: Tensor = stage[mine] * count + row[mine]
        return own


class Memory:
    """What a rollout saw, in buffers made once: (stage · row, …) records, flat for minibatches."""

    def __init__(self, rows: Rows, stages: int, slots: int) -> None:
        self.stages, self.count = stages, len(rows.stage)
        self.state: Any = None
        self.post: Any = None
        self.prior: Any = None  # what was known of the states beside the network, if anything
        self.stage = rows.stage.new_zeros(stages * self.count)
        self.choice = rows.stage.new_zeros((stages * self.count, slots))
        self.tried = torch.zeros((stages, self.count), dtype=torch.bool, device=rows.stage.device)
        scalars = {f.name: torch.zeros(stages, self.count, device=rows.stage.device) for f in fields(Rollout)}
        self.seen = Rollout(**scalars)

    def put(self, step: int, state: Any, stage: Tensor, choice: Tensor, post: Any, prior: Any = None) -> None:
        """One stage of every row."""
        if self.state is None:
            self.state, self.post = self._room(state), self._room(post)
            self.prior = None if prior is None else self._room(prior)
        rows = slice(step * self.count, (step + 1) * self.count)
        self.stage[rows], self.choice[rows] = stage, choice
        _write(self.state, rows, state)
        _write(self.post, rows, post)
        if prior is not None:
            _write(self.prior, rows, prior)

    def _room(self, record: Any) -> Any:
        """A record like this one for all stages."""
        total = self.stages * self.count
        return record.map(lambda tensor: tensor.new_zeros((total, *tensor.shape[1:])))


def _within(rows: slice, outer: slice) -> slice:
    """The part of some rows that lies in others, counted from these others' first."""
    first = outer.start or 0
    start = max(rows.start or 0, first)
    return slice(start - first, max(min(rows.stop, outer.stop), start) - first)


def _write(record: Any, rows: slice, values: Any) -> None:
    """Overwrite rows of a record in place."""
    for name, tensor in vars(record).items():
        tensor[rows] = getattr(values, name)
