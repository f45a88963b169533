"""What a policy sees of a network, each feature scaled to order one."""

import torch
from jaxtyping import Float
from torch import Tensor

from models.dynamics import Encoder, FeatureName, Stage
from models.inventory_network.demand.memory import DemandCalendar
from models.inventory_network.simulator import NetworkSimulator, NetworkState

HORIZON_SCALE = 10.0  # [periods]; slack beyond it looks alike


class NetworkEncoder(Encoder):
    """Flat features of a state: net inventory of each node, arrivals of each node by period (all scaled by the node's
    mean flow); where there are any, the ages of perishable stock, what is remembered of past demand and what the
    calendar says of demand to come; in a finite horizon the time left after an order on each lane could reach a
    customer.

    Goods on different lanes that reach a node in the same period are the same thing to a policy, so they are summed.
    """

    slot_cell: Tensor
    cell_slot: Tensor
    scale: Tensor
    cell_scale: Tensor
    both_scales: Tensor
    age_scale: Tensor
    reach: Tensor

    def __init__(self, simulator: NetworkSimulator) -> None:
        super().__init__()
        lay, net = simulator.layout, simulator.net
        cells = sorted(set(zip(lay.target[lay.slot_lane].tolist(), lay.slot_arrival.tolist(), strict=True)))
        place = {cell: k for k, cell in enumerate(cells)}
        slot_cells = [
            place[cell] for cell in zip(lay.target[lay.slot_lane].tolist(), lay.slot_arrival.tolist(), strict=True)
        ]
        flow = torch.tensor(lay.flow, dtype=torch.get_default_dtype()).clamp_min(1e-3)
        nodes = torch.arange(lay.num_stocking)
        self.cells = cells  # (node, arrival) of each arrival feature
        self.finite = not net.is_rolling
        self.periods = net.periods
        self.num_cells = len(cells)
        self.calendar = DemandCalendar(net, simulator.store_ids)
        self.num_memory = simulator.memory.width
        self.ages = [(node_id, life) for node_id, life in simulator.ageing.layout_of_columns]
        self.num_features = lay.num_stocking + len(cells) + len(self.ages) + self.num_memory + self.calendar.width
        self.num_features += 1 + lay.num_lanes if self.finite else 0
        self.ids = [node.id for node in lay.nodes]
        self.single = len(cells) == len(slot_cells)  # every node has one supplier: nothing to sum
        self.register_buffer("slot_cell", torch.tensor(slot_cells, dtype=torch.long), persistent=False)
        self.register_buffer("cell_slot", self.slot_cell.argsort(), persistent=False)
        self.register_buffer("scale", flow[nodes] * _cover(simulator), persistent=False)
        self.register_buffer(
            "cell_scale", flow[torch.tensor([c[0] for c in cells], dtype=torch.long)], persistent=False
        )
        self.in_order = self.single and bool((self.slot_cell == torch.arange(len(cells))).all())
        self.register_buffer("both_scales", torch.cat((self.scale, self.cell_scale))[:, None], persistent=False)
        self.register_buffer("age_scale", flow[simulator.ageing.column_store], persistent=False)
        reach = torch.from_numpy(lay.lead_time + lay.to_demand[lay.target])
        self.register_buffer("reach", reach.to(flow.dtype), persistent=False)

    def position(self, state: NetworkState) -> Float[Tensor, "batch node_and_cell"]:
        """`stock` and `arrivals` side by side."""
        if not self.in_order:
            return torch.cat((self.stock(state).t(), self.arrivals(state).t())).t()
        return (torch.cat((state.net_inventory.t(), state.pipeline.t())) / self.both_scales).t()

    def stock(self, state: NetworkState) -> Float[Tensor, "batch node"]:
        """Net inventory over the mean demand it covers, its own lead time and the way to the customer included."""
        return state.net_inventory / self.scale

    def arrivals(self, state: NetworkState) -> Float[Tensor, "batch cell"]:
        """Goods due at each node in each coming period over mean flow [periods of supply]."""
        if self.single:
            return state.pipeline.t().index_select(0, self.cell_slot).t() / self.cell_scale
        summed = state.pipeline.new_zeros(self.num_cells, state.batch).index_add(0, self.slot_cell, state.pipeline.t())
        return summed.t() / self.cell_scale

    def time_left(self, stage: Stage, batch: int) -> Float[Tensor, "batch one_plus_lane"]:
        """Share of the horizon left, and periods left after an order on each lane could meet demand, scaled."""
        left = self.periods - torch.as_tensor(stage, device=self.scale.device).to(self.scale)
        left = left.reshape(-1, 1).expand(batch, 1)
        slack = ((left - 1 - self.reach) / HORIZON_SCALE).clamp(-1.0, 1.0)
        return torch.cat((left / self.periods, slack), dim=1)

    def forward(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        parts = [self.position(state)]
        if self.ages:
            parts.append(state.aging / self.age_scale)
        if self.num_memory:
            parts.append(state.memory - 1.0)  # demand over what was expected
        if self.calendar.width:
            parts.append(self.calendar(stage, state.batch))
        if self.finite:
            parts.append(self.time_left(stage, state.batch))
        return torch.cat([part.t() for part in parts]).t() if len(parts) > 1 else parts[0]

    def names(self) -> list[FeatureName]:
        """The features in the planner's words, in the order of `forward`."""
        stock = [FeatureName(f"net inventory of {self.ids[k]}", scale) for k, scale in enumerate(self.scale.tolist())]
        arrivals = [
            FeatureName(f"arrivals at {self.ids[node]} in {arrival} periods", scale)
            for (node, arrival), scale in zip(self.cells, self.cell_scale.tolist(), strict=True)
        ]
        ages = [
            FeatureName(f"stock of {node_id} that lasts {life} periods at most", scale)
            for (node_id, life), scale in zip(self.ages, self.age_scale.tolist(), strict=True)
        ]
        rest = [FeatureName(f"past demand, figure {k + 1}, over what was expected") for k in range(self.num_memory)]
        rest += [FeatureName(f"calendar, figure {k + 1}") for k in range(self.calendar.width)]
        if self.finite:
            rest.append(FeatureName("share of the horizon left"))
            rest += [FeatureName(f"periods left on lane {k + 1}", HORIZON_SCALE) for k in range(len(self.reach))]
        return stock + arrivals + ages + rest


def _cover(simulator: NetworkSimulator) -> Float[Tensor, " node"]:
    """Periods of demand a node's stock stands for: lead time into it, one period of its own, and the way downstream."""
    lay = simulator.layout
    lead = torch.zeros(lay.num_stocking, dtype=torch.long)
    lead.scatter_reduce_(0, torch.from_numpy(lay.target), torch.from_numpy(lay.lead_time), "amax")
    return (lead + 1 + torch.from_numpy(lay.to_demand[: lay.num_stocking])).to(torch.get_default_dtype())
