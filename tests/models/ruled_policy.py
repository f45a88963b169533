"""A policy whose orders come from a rule of the oracles, and what policies cost, scenario by scenario."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.dynamics import Policy, Stage
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from solvers.evaluation import check_feasible
from tests.oracles.constrained import Case
from tests.oracles.demand import Floats


class RuledPolicy(Policy[NetworkState, Orders]):
    """The orders of a case's rule; with `shift`, those of a state whose last coordinate is that much [units] higher.

    `shift` may differ from row to row of the batch, so that one simulation tells several policies apart.
    """

    def __init__(self, simulator: NetworkSimulator, case: Case, shift: float | Floats = 0.0) -> None:
        super().__init__()
        self.simulator, self.case, self.shift = simulator, case, shift

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        coordinates = [self.coordinate(name, state) for name in self.case.state]
        coordinates[-1] = coordinates[-1] + self.shift
        quantity = np.stack([np.broadcast_to(q, (state.batch,)) for q in self.case.orders(coordinates)], axis=1)
        return Orders(torch.from_numpy(quantity).to(state.net_inventory))

    def forward(self, state: NetworkState, stage: Stage) -> Orders:
        return self.propose(state, stage)

    def coordinate(self, name: str, state: NetworkState) -> Floats:
        """One number of every row of the batch, by its name in `Case.state`."""
        kind, _, node = name.partition(" of ")
        layout = self.simulator.layout
        place = layout.index(node or "store")
        net = state.net_inventory[:, place]
        if kind == "net":
            return _numbers(net)
        if kind == "position":
            return _numbers(net + state.pipeline[:, layout.target[layout.slot_lane] == place].sum(1))
        if kind == "waiting":
            return _numbers(state.pipeline[:, 0])
        older = torch.cat((torch.zeros_like(net)[:, None], state.aging, net[:, None]), dim=1)  # cumulative by life
        life = int(kind.removeprefix("life "))
        return _numbers(older[:, life] - older[:, life - 1])


@torch.no_grad()
def simulate(
    simulator: NetworkSimulator, policy: Policy[Any, Any], state: NetworkState, noise: Any
) -> tuple[Floats, dict[str, Floats]]:
    """Cost and slack of every constraint in expectation, a reported period, by scenario; every decision is checked."""
    cost, slacks = torch.zeros(state.batch, dtype=torch.float64), dict[str, Tensor]()
    for stage in range(simulator.num_stages):
        orders = policy(state, stage)
        check_feasible(simulator, state, orders, stage)
        post, decided = simulator.decide(state, orders, stage)
        state, realized = simulator.realize(post, noise, stage)
        if stage >= simulator.first_reported_stage:
            for part in (*decided.components.values(), *realized.components.values()):
                cost += part
            for name, slack in realized.slacks.items():
                slacks[name] = slacks.get(name, torch.zeros(1, dtype=torch.float64)) + slack
    stages = simulator.num_stages - simulator.first_reported_stage
    return cost.numpy() / stages, {name: slack.numpy() / stages for name, slack in slacks.items()}


def _numbers(column: Tensor) -> Floats:
    return np.asarray(column.double().numpy())
