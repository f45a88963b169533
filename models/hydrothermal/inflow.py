"""What may flow into the reservoirs: the inflow processes as documents. How they are drawn is in `inflow_sampling`.

All flows are natural incremental inflows [m³/s] by plant. This stage's inflow is known when deciding; the next stage's
is what chance still holds. `scenarios` are drawn anew in every stage, jointly over plants; in `markov` the outcome
depends on that of the stage before; in `par` on the inflows before; `paths` are the user's own, each from start to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from models.core import Issue, Record, pointer

Floats = npt.NDArray[np.float64]
Flow = Annotated[float, Field(ge=0, le=1e9)]
Chance = Annotated[float, Field(ge=0, le=1)]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Chances = Annotated[list[Chance], Field(min_length=1, max_length=10_000)]
Outcomes = Annotated[list[Annotated[list[Flow], Field(min_length=1, max_length=10_000)]], Field(min_length=1)]

SUM_TOLERANCE = 1e-6
Where = tuple[str | int, ...]


class Tabled(Record):
    """Base of processes given as a table `inflow_m3s[plant][stage][scenario]`."""

    inflow_m3s: dict[Id, Outcomes] = Field(
        min_length=1, description="Inflow [m³/s] by plant, stage and scenario; scenarios are joint over plants."
    )

    def table(self, plants: Sequence[str]) -> Floats:
        """Inflow (stage, scenario, plant) [m³/s]; plants without a row have none."""
        any_plant = next(iter(self.inflow_m3s.values()))
        shape = (len(any_plant), len(any_plant[0]))
        columns = [np.array(self.inflow_m3s[p], dtype=np.float64) if p in self.inflow_m3s else None for p in plants]
        return np.stack([np.zeros(shape) if column is None else column for column in columns], axis=-1)

    @property
    def num_table_stages(self) -> int:
        """Stages in the table."""
        return len(next(iter(self.inflow_m3s.values())))

    def table_rules(self, where: Where) -> Iterator[Issue]:
        """Every plant has the same stages, every stage as many scenarios."""
        first, rows = next(iter(self.inflow_m3s.items()))
        for plant, own in self.inflow_m3s.items():
            if len(own) != len(rows):
                yield _error("stages", f"{len(own)} stages, {first} has {len(rows)}", *where, "inflow_m3s", plant)
            for stage, outcomes in enumerate(own):
                if len(outcomes) != len(rows[0]):
                    detail = f"{len(outcomes)} scenarios, stage 0 of {first} has {len(rows[0])}"
                    yield _error("scenarios", detail, *where, "inflow_m3s", plant, stage)


class Scenarios(Tabled):
    """Outcomes drawn in every stage independently of the stages before, jointly over plants."""

    process: Literal["scenarios"] = "scenarios"
    cyclic: bool = Field(False, description="Whether stage t takes row t mod rows; else there is a row for each stage.")
    probabilities: list[Chances] | None = Field(
        None, description="Probability of every scenario by stage, each stage's sum one; null: alike."
    )
    current_inflow_m3s: dict[Id, Flow] | None = Field(
        None, description="Inflow of stage 0 [m³/s] by plant, where it is known; null: it is drawn as well."
    )
    evaluation_scenarios: list[list[Annotated[int, Field(ge=0)]]] | None = Field(
        None,
        min_length=2,
        max_length=65_536,
        description="Paths that policies are judged on, each once: scenario numbers (from 0) by path and stage. "
        "Training draws its own. null: paths are drawn.",
    )

    def chances(self) -> Floats:
        """Probabilities (stage, scenario)."""
        rows = next(iter(self.inflow_m3s.values()))
        if self.probabilities is None:
            return np.full((len(rows), len(rows[0])), 1.0 / len(rows[0]))
        given = np.array(self.probabilities, dtype=np.float64)
        shares: Floats = given / given.sum(1, keepdims=True)
        return shares

    def rules(self, where: Where, plants: Sequence[str], stages: int) -> Iterator[Issue]:
        """Rules this process breaks in a system of these plants over these stages."""
        yield from _plants_known(self.inflow_m3s, plants, *where, "inflow_m3s")
        yield from self.table_rules(where)
        rows = next(iter(self.inflow_m3s.values()))
        yield from _enough_stages(len(rows), self.cyclic, stages, where)
        if self.current_inflow_m3s is not None:
            yield from _plants_known(self.current_inflow_m3s, plants, *where, "current_inflow_m3s")
        yield from self._path_rules(where, len(rows[0]), stages)
        if self.probabilities is None:
            return
        at = (*where, "probabilities")
        if len(self.probabilities) != len(rows):
            yield _error("stages", f"{len(self.probabilities)} stages, inflow_m3s has {len(rows)}", *at)
        for stage, chances in enumerate(self.probabilities):
            yield from _sums_to_one(chances, len(rows[0]), *at, stage)

    def _path_rules(self, where: Where, count: int, stages: int) -> Iterator[Issue]:
        for path, numbers in enumerate(self.evaluation_scenarios or []):
            at = (*where, "evaluation_scenarios", path)
            if len(numbers) < stages:
                yield _error("stages", f"{len(numbers)} stages for a horizon of {stages}", *at)
            wrong = next((stage for stage, number in enumerate(numbers) if number >= count), None)
            if wrong is not None:
                yield _error("scenarios", f"there are {count} scenarios, counted from 0", *at, wrong)
        if self.evaluation_scenarios is not None and self.current_inflow_m3s is not None:
            detail = "stage 0 is known: paths that say otherwise cannot be judged on"
            yield _error("evaluation", detail, *where, "evaluation_scenarios")


class Markov(Tabled):
    """Outcomes that follow each other as a Markov chain: scenario j after i with probability transitions[t][i][j].

    Stage 0 has the scenario `initial_scenario`, which is known.
    """

    process: Literal["markov"]
    cyclic: bool = Field(False, description="Whether stage t takes row t mod rows; else there is a row for each stage.")
    transitions: list[list[Chances]] = Field(
        min_length=1,
        description="Transition matrices: entry t from the scenario of stage t to that of stage t+1; taken in turn.",
    )
    initial_scenario: int = Field(0, ge=0, description="Scenario of stage 0.")

    def rules(self, where: Where, plants: Sequence[str], stages: int) -> Iterator[Issue]:
        """Rules this process breaks in a system of these plants over these stages."""
        yield from _plants_known(self.inflow_m3s, plants, *where, "inflow_m3s")
        yield from self.table_rules(where)
        rows = next(iter(self.inflow_m3s.values()))
        yield from _enough_stages(len(rows), self.cyclic, stages, where)
        count = len(rows[0])
        if self.initial_scenario >= count:
            yield _error("scenarios", f"there are {count} scenarios, counted from 0", *where, "initial_scenario")
        for stage, matrix in enumerate(self.transitions):
            at = (*where, "transitions", stage)
            if len(matrix) != count:
                yield _error("scenarios", f"{len(matrix)} rows, inflow_m3s has {count} scenarios", *at)
            for scenario, chances in enumerate(matrix):
                yield from _sums_to_one(chances, count, *at, scenario)


class Paths(Tabled):
    """The user's own scenarios, each a whole path: `inflow_m3s[plant][stage][path]`, a path being one column."""

    process: Literal["paths"]
    probabilities: Chances | None = Field(None, description="Probability of every path, summing to one; null: alike.")

    def rules(self, where: Where, plants: Sequence[str], stages: int) -> Iterator[Issue]:
        """Rules this process breaks in a system of these plants over these stages."""
        yield from _plants_known(self.inflow_m3s, plants, *where, "inflow_m3s")
        yield from self.table_rules(where)
        rows = next(iter(self.inflow_m3s.values()))
        yield from _enough_stages(len(rows), False, stages, where)
        for plant, own in self.inflow_m3s.items():
            if len(set(own[0])) > 1:
                detail = "paths differ in stage 0, whose inflow is known when deciding: all must start alike"
                yield _error("stage_zero", detail, *where, "inflow_m3s", plant, 0)
        if self.probabilities is not None:
            yield from _sums_to_one(self.probabilities, len(rows[0]), *where, "probabilities")


class Autoregressive(Record):
    """PAR(p): inflow regresses on the inflows before it, season by season, with parameters fitted from history."""

    process: Literal["par"]
    history_m3s: dict[Id, Annotated[list[Flow], Field(min_length=4, max_length=100_000)]] = Field(
        min_length=1, description="Past inflow [m³/s] by plant, oldest first, the last just before stage 0."
    )
    seasons: int = Field(ge=1, le=366, description="Stages in a year.")
    first_season: int = Field(0, ge=0, description="Season of stage 0.")
    order: Annotated[int, Field(ge=0, le=12)] | None = Field(
        None, description="Inflows p that the next one depends on; null: what the history says, at most 4."
    )
    transform: Literal["log", "shift"] = Field(
        "log",
        description="What keeps inflow from being negative: log: its logarithm regresses; shift: inflow itself does, "
        "and its residual is a shifted lognormal that ends at zero inflow.",
    )
    current_inflow_m3s: dict[Id, Flow] | None = Field(
        None, description="Inflow of stage 0 [m³/s] by plant; null: what the history leads to on average."
    )

    def rules(self, where: Where, plants: Sequence[str], stages: int) -> Iterator[Issue]:
        """Rules this process breaks in a system of these plants over these stages."""
        yield from _plants_known(self.history_m3s, plants, *where, "history_m3s")
        if self.current_inflow_m3s is not None:
            yield from _plants_known(self.current_inflow_m3s, plants, *where, "current_inflow_m3s")
        if self.first_season >= self.seasons:
            yield _error("season", f"there are {self.seasons} seasons, counted from 0", *where, "first_season")
        first, length = next((plant, len(values)) for plant, values in self.history_m3s.items())
        years = length // self.seasons
        for plant, values in self.history_m3s.items():
            at = (*where, "history_m3s", plant)
            if len(values) != length:
                yield _error("history", f"{len(values)} stages, {first} has {length}", *at)
            if self.transform == "log" and any(value <= 0 for value in values):
                detail = "the logarithm needs inflow above zero throughout; use the transform shift"
                yield _error("history", detail, *at)
        least = 3 + (self.order or 0)
        if years < least:
            detail = f"{years} whole years of {self.seasons} stages; fitting needs at least {least}"
            yield _error("history", detail, *where, "history_m3s")
        elif years < 10:
            detail = f"only {years} years of history: seasonal means and correlations are rough"
            yield Issue("history", "warning", pointer(*where, "history_m3s"), detail)


InflowProcess = Annotated[Scenarios | Markov | Paths | Autoregressive, Field(discriminator="process")]
"""Any inflow process."""


def _error(code: str, detail: str, *where: str | int) -> Issue:
    return Issue(code, "error", pointer(*where), detail)


def _plants_known(named: dict[str, Any], plants: Sequence[str], *where: str | int) -> Iterator[Issue]:
    for plant in named:
        if plant not in plants:
            yield _error("unknown_hydro", f"no hydro has the id {plant!r}", *where, plant)
    for plant in plants:
        if plant not in named:
            yield _error("missing", f"the inflow of hydro {plant!r} is missing", *where)


def _enough_stages(rows: int, cyclic: bool, stages: int, where: Where) -> Iterator[Issue]:
    if not cyclic and rows < stages:
        detail = f"{rows} stages of inflow for a horizon of {stages}: give all, or make them cyclic"
        yield _error("stages", detail, *where, "inflow_m3s")


def _sums_to_one(chances: Sequence[float], count: int, *where: str | int) -> Iterator[Issue]:
    if len(chances) != count:
        yield _error("scenarios", f"{len(chances)} probabilities for {count} scenarios", *where)
    elif abs(sum(chances) - 1.0) > SUM_TOLERANCE:
        yield _error("probabilities", f"sum to {sum(chances):.6g}, must be 1", *where)
