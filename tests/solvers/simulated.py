"""What a policy costs on a plant, simulated by a plain loop."""

from __future__ import annotations

import torch

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.simulator import LotSimulator
from solvers.evaluation import Scenarios


def mean_cost(instance: LotSizing, policy: torch.nn.Module, scenarios: int) -> tuple[float, float]:
    """Mean cost of a scenario and its standard error, simulated."""
    simulator = LotSimulator(instance)
    chunk = next(iter(Scenarios(simulator, 5, scenarios)))
    state, total = chunk.state, torch.zeros(scenarios, dtype=torch.float64)
    with torch.no_grad():
        for stage in range(simulator.num_stages):
            post, paid = simulator.decide(state, policy(state, stage), stage)
            state, costs = simulator.realize(post, chunk.noise, stage)
            total += paid.total + costs.total
    return float(total.mean()), float(total.std() / scenarios**0.5)
