"""What processes that share every batch gain, and what they say to each other.

    OMP_NUM_THREADS=1 python -m benchmarks.ranks [--wall] [--write benchmarks/ranks.md]

Trainings by 1, 2 and 4 ranks in turn, each through the solver's own `train`; steps are counted from the second on. The
gain is that of the leader's CPU-seconds: what a step would take with a free core for each rank and no wire. It can be
measured where other work, or fewer cores than ranks, stretch the wall clock; `--wall` tells that too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["HERENOW_SOLVERS"] = "benchmarks.ranks:TALK"  # before the registry is read, here and in every rank


import torch
from pydantic import Field

from benchmarks.lot_sizing_training import plant
from benchmarks.speed import WIDTH, document
from models.core import NetworkSize
from models.inventory_network import PROBLEM as INVENTORY
from models.lot_sizing import PROBLEM as LOT_SIZING
from solvers.core import Callbacks, Config, Solver, TrainRequest, TrainResult
from solvers.hdpo import HDPO
from solvers.pdppo import PDPPO
from solvers.ranks import Ranks
from solvers.team import train_together

COUNTS = (1, 2, 4)
LATENCY_SIZES = (1_000, 10_000, 100_000, 1_000_000)


class TalkConfig(Config):
    """A solver that only talks: so many rounds of so many numbers."""

    numbers: int = Field(1000, ge=1, description="Numbers that stand for gradients.")
    rounds: int = Field(200, ge=1, description="Messages.")
    ranks: int = Field(2, ge=1, le=256, description="Processes.")


def talk(request: TrainRequest, callbacks: Callbacks, ranks: Ranks) -> TrainResult:
    """Combine gradients again and again: the curve is the median time of one [s]."""
    config: TalkConfig = request.config
    weight = torch.nn.Parameter(torch.zeros(config.numbers))
    policy = INVENTORY.family("mlp").build(request.instance, INVENTORY.simulator(request.instance), NetworkSize(8, 1))
    taken = []
    for _ in range(config.rounds):
        weight.grad = torch.ones(config.numbers)
        began = time.perf_counter()
        ranks.combine([weight], 0.5, torch.zeros(1))
        ranks.agree(0)
        taken.append(time.perf_counter() - began)
    row = {"seconds": statistics.median(taken), "least": min(taken)}
    return TrainResult(policy, "mlp", [row], config.rounds, 0.0, "finished")


TALK = Solver(
    name="talk",
    title="Only talks",
    summary="Combines gradients and does nothing with them.",
    kind="train",
    config=TalkConfig,
    needs=lambda traits: [],
    train=lambda request, callbacks: train_together(TALK, request, callbacks),
    train_rank=talk,
)


@dataclass(frozen=True)
class Case:
    """A training to share."""

    name: str
    solver: Solver
    problem: Any
    instance: Any
    config: dict[str, Any]
    steps: int  # steps that are timed

    def request(self, ranks: int) -> TrainRequest:
        """So many ranks, no validation on the way."""
        config = self.config | {"iterations": self.steps + 1, "validation_every": 10**6, "ranks": ranks}
        return TrainRequest(self.problem, self.instance, self.solver.config(**config, validation_scenarios=4), 1)


def cases() -> Iterator[Case]:
    """Networks by size, a plant of 15 items on 5 machines."""
    ten = INVENTORY.parse(document(10))
    graph = {"width": WIDTH, "family": "gnn"}
    yield Case("HDPO, gnn, 10 stores, batch 64", HDPO, INVENTORY, ten, graph | {"batch_size": 64}, 4)
    yield Case("the same, batch 1,024", HDPO, INVENTORY, ten, graph | {"batch_size": 1024}, 2)
    yield Case("PDPPO, 15 x 5, 128 scenarios", PDPPO, LOT_SIZING, plant(), {"scenarios": 128}, 3)
    yield Case("the same, 1,024 scenarios", PDPPO, LOT_SIZING, plant(), {"scenarios": 1024}, 1)


@dataclass
class Clock:
    """Wall clock and the leader's CPU-seconds between the first step's end and the last's."""

    marks: list[tuple[float, float]] = field(default_factory=list)

    def step(self, *_: Any) -> None:
        """A step has ended."""
        self.marks.append((time.perf_counter(), time.process_time()))

    def per_step(self) -> tuple[float, float]:
        """Seconds a step: by the wall, by the leader's processor."""
        (wall, cpu), (last_wall, last_cpu) = self.marks[0], self.marks[-1]
        steps = len(self.marks) - 1
        return (last_wall - wall) / steps, (last_cpu - cpu) / steps


def measured(case: Case, wall: bool) -> str:
    """A row of the table."""
    found = {}
    for count in COUNTS:
        clock = Clock()
        result = case.solver.train(case.request(count), Callbacks(on_iteration=clock.step))  # type: ignore[misc]
        assert result.ranks == count, "every rank came"
        found[count] = clock.per_step()
    weights = sum(parameter.numel() for parameter in result.policy.parameters())
    gains = [
        f"{found[1][which] / found[count][which]:.2f}" for which in ((1, 0) if wall else (1,)) for count in COUNTS[1:]
    ]
    return f"| {case.name} | {weights:,} | {found[1][1]:.3f} | {' | '.join(gains)} |"


def talked(numbers: int, ranks: int) -> dict[str, float]:
    """What one message of so many numbers, and the leader's word, take [s]."""
    request = TrainRequest(INVENTORY, INVENTORY.parse(document(1)), TalkConfig(numbers=numbers, ranks=ranks), 1)
    return TALK.train(request, Callbacks()).curve[0]  # type: ignore[misc]


def lines(only: str | None, wall: bool) -> Iterator[str]:
    """The page, line by line."""
    yield f"torch {torch.__version__}, gloo on loopback, one thread a rank, {os.cpu_count()} cores."
    yield ""
    gains = [f"{count} ranks, {clock}" for clock in (("CPU", "wall") if wall else ("CPU",)) for count in COUNTS[1:]]
    yield f"| training | weights | CPU-seconds a step, 1 rank | {' | '.join(gains)} |"
    yield "|---" * (3 + len(gains)) + "|"
    for case in cases():
        if only is None or only in case.name:
            yield measured(case, wall)
    yield ""
    yield "| numbers in a message | bytes a rank sends, 2 ranks | median, 2 ranks [ms] | least [ms] |"
    yield "|---|---|---|---|"
    for numbers in LATENCY_SIZES:
        row = talked(numbers, 2)
        yield f"| {numbers:,} | {4 * numbers:,} | {1e3 * row['seconds']:.2f} | {1e3 * row['least']:.2f} |"


HEAD = """# Ranks: what sharing every batch gains

`OMP_NUM_THREADS=1 python -m benchmarks.ranks --wall --write benchmarks/ranks.md`; how: `docs/decisions/0021-ranks.md`.
A gain is the leader's CPU-seconds of a step with one rank over those with several: what a free core for each rank
would give. The second table is the message of a step (gradients there and back, and the leader's word) by itself.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="cases whose name holds this")
    parser.add_argument("--wall", action="store_true", help="tell the wall clock's gains too")
    parser.add_argument("--write", type=Path, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = [HEAD]
    for line in lines(arguments.only, arguments.wall):
        print(line, flush=True)
        found.append(line)
    if arguments.write:
        arguments.write.write_text("\n".join(found) + "\n")


if __name__ == "__main__":
    main()
