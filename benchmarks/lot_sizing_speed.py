"""Speed of lot sizing's simulator, beside a plain loop over machines and items; and how it grows with both.

    OMP_NUM_THREADS=1 python -m benchmarks.lot_sizing_speed [--write docs/problems/lot_sizing.md]

One thread; every figure comes from a process of its own. A step is one period of one scenario: its demand drawn, a
random feasible decision drawn and applied, costs counted. Figures are steps per CPU-second, the median of several
repetitions of a whole horizon, initial states and demand included. The plain loop does the same, one scenario after the
other, machine by machine, item by item. Half a CPU-minute.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from models.lot_sizing import PROBLEM
from models.lot_sizing.examples import workshop
from models.lot_sizing.lots import Lots
from models.lot_sizing.simulator import LotSimulator

SIZES = {"10 × 5": (10, 5), "15 × 5": (15, 5), "25 × 10": (25, 10), "25 × 15": (25, 15), "50 × 20": (50, 20)}
SEED = 4
SCENARIOS = 4096
TARGET = 1_000_000  # steps/s on 15 × 5, one thread
PUBLISHED = 23_700  # steps/s of the published simulator on 15 × 5, one scenario at a time
LONG_ENOUGH = 4.0  # CPU-seconds a figure is measured over
BEGIN, END = "<!-- begin: benchmarks.lot_sizing_speed -->", "<!-- end: benchmarks.lot_sizing_speed -->"


def batched(items: int, machines: int) -> tuple[Any, int]:
    """A horizon of `SCENARIOS` scenarios by the simulator, and its steps."""
    plant = PROBLEM.parse(workshop(items, machines, SEED))
    simulator = LotSimulator(plant, counts=False)
    generator = torch.Generator().manual_seed(1)
    open_to = simulator.lot_choices.feasible(simulator.initial(1, generator), 0)[0].float()
    nothing = torch.zeros(SCENARIOS, 0)

    def horizon() -> None:
        state, noise = simulator.initial(SCENARIOS, generator), simulator.sample(SCENARIOS, generator)
        total = torch.zeros(SCENARIOS)
        for stage in range(plant.periods):
            item = torch.multinomial(open_to, SCENARIOS, replacement=True, generator=generator).t().contiguous()
            post, decided = simulator.decide(state, Lots(item, nothing), stage)
            state, realized = simulator.realize(post, noise, stage)
            total += decided.total + realized.total

    return horizon, SCENARIOS * plant.periods


def plain(items: int, machines: int) -> tuple[Any, int]:
    """A horizon of one scenario by the plain loop, and its steps."""
    plant = PROBLEM.parse(workshop(items, machines, SEED))
    dice = random.Random(1)
    able: list[list[tuple[int, float, float, float]]] = [[] for _ in range(machines)]
    for own in plant.capabilities:
        place = plant.machine_place[own.machine]
        able[place].append((plant.item_place[own.item], own.production, own.setup_cost, own.setup_loss))

    def horizon() -> None:
        stock = [int(dice.random() * (item.inventory_max or 0.0)) for item in plant.items]
        setup = [dice.choice(own)[0] if own else -1 for own in able]
        for _ in range(plant.periods):
            cost = 0.0
            for machine, own in enumerate(able):
                k = int(dice.random() * (len(own) + 1))
                if k == len(own):
                    setup[machine] = -1
                    continue
                item, made, price, loss = own[k]
                if setup[machine] != item:
                    cost, made = cost + price, max(made - loss, 0.0)
                stock[item], setup[machine] = stock[item] + made, item
            for place, item in enumerate(plant.items):
                demand = sum(dice.random() < 0.4 for _ in range(20))
                left = stock[place] - demand
                cost += item.lost_sales_cost * max(-left, 0)
                stock[place] = min(max(left, 0), item.inventory_max)
                cost += item.holding_cost * stock[place]

    return horizon, plant.periods


def measure(name: str, items: int, machines: int) -> float:
    """Steps per CPU-second."""
    horizon, steps = {"batched": batched, "plain": plain}[name](items, machines)
    horizon()
    rates: list[float] = []
    begun = time.process_time()
    while len(rates) < 3 or time.process_time() - begun < LONG_ENOUGH:
        started = time.process_time()
        horizon()
        rates.append(steps / (time.process_time() - started))
    return statistics.median(rates)


def apart(name: str, size: tuple[int, int]) -> float:
    """The same in a process of its own, with one thread."""
    command = [sys.executable, "-m", "benchmarks.lot_sizing_speed", "--cell", name, *map(str, size)]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def table() -> Iterator[str]:
    """The report's lines."""
    yield f"{platform.processor() or platform.machine()}, one thread, {SCENARIOS:,} scenarios."
    yield ""
    yield "| items × machines | steps per CPU-second | plain loop | times as fast | ns a step, machine and item |"
    yield "|---|---|---|---|---|"
    rates = {}
    for name, size in SIZES.items():
        rates[name], slow = apart("batched", size), apart("plain", size)
        each = 1e9 / rates[name] / (size[0] * size[1])
        yield f"| {name} | {rates[name]:,.0f} | {slow:,.0f} | {rates[name] / slow:,.0f} | {each:.2f} |"
    yield ""
    yield f"Wanted on 15 × 5: {TARGET:,} steps/s ({rates['15 × 5'] / TARGET:.2f} of it reached)."
    yield f"The published simulator was measured at {PUBLISHED:,} steps/s elsewhere."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="page whose marked section is replaced")
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.cell:
        name, items, machines = arguments.cell
        print(json.dumps(measure(name, int(items), int(machines))))
        return
    report = "\n".join(table())
    print(report)
    if arguments.write:
        page = arguments.write.read_text()
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        arguments.write.write_text(f"{head}{BEGIN}\n{report}\n{END}{tail}")


if __name__ == "__main__":
    main()
