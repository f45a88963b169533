"""What the graph network sees of a node and of a lane: numbers free of units, the same for networks of any size.

Features are rows of (feature, node, batch) tensors. Goods on their way are told by when they arrive: weights of a fixed
set of arrival times, linear between them, so that neither the longest lead time of a network nor the number of its
lanes changes what a feature means. What never changes about nodes and lanes is in `graph_static`.
"""

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.inventory_network.flows import LEAST, cover, echelon_shares
from models.inventory_network.layout import Layout
from models.inventory_network.simulator import NetworkSimulator, NetworkState
from models.networks import FEW, in_full_precision

Ints = npt.NDArray[np.int64]

ARRIVALS = (0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 40, 100, 200)  # [periods] from now, knots of the arrival features
EXPIRIES = (1, 2, 3, 5, 10, 30)  # [periods] of life left, what of the stock lasts no longer
NUM_MEMORY = 3  # last demand, mean of the remembered, smoothed level
NUM_DYNAMIC = 2 + len(ARRIVALS) + len(EXPIRIES) + NUM_MEMORY  # stock and echelon gap first


class GraphIndex:
    """The nodes and lanes that messages pass over: all stocking nodes, and suppliers whose stock is limited.

    Other suppliers have no state and nothing to ration; their lanes are told apart by their own features.
    """

    def __init__(self, simulator: NetworkSimulator) -> None:
        lay = simulator.layout
        limited = [
            k for k, node in enumerate(lay.nodes) if k >= lay.num_stocking and node.throughput_capacity is not None
        ]
        place = {node: k for k, node in enumerate([*range(lay.num_stocking), *limited])}
        self.num_nodes = len(place)
        self.nodes = np.array(list(place), dtype=np.int64)  # internal index of each graph node
        self.lanes = np.array([k for k, s in enumerate(lay.source.tolist()) if s in place], dtype=np.int64)
        self.source = np.array([place[s] for s in lay.source[self.lanes].tolist()], dtype=np.int64)
        self.target = lay.target[self.lanes]
        self.senders = np.unique(self.source)  # graph nodes that supply others
        self.sender = np.searchsorted(self.senders, self.source)  # place of each lane's source among them
        flow = np.maximum(lay.lane_flow, LEAST)
        self.share_in = (flow / np.bincount(lay.target, flow, len(lay.nodes))[lay.target])[self.lanes]
        self.share_out = (flow / np.bincount(lay.source, flow, len(lay.nodes))[lay.source])[self.lanes]
        self.rounds = max(_longest_path(self.num_nodes, self.source, self.target), 0)


def _longest_path(nodes: int, source: Ints, target: Ints) -> int:
    """Lanes on the longest way through the graph: as many rounds let every node hear of every other on its way."""
    depth = np.zeros(nodes, dtype=np.int64)
    for _ in range(nodes):
        deeper = depth.copy()
        np.maximum.at(deeper, target, depth[source] + 1)
        if (deeper == depth).all():
            break
        depth = deeper
    return int(depth.max(initial=0))


class DynamicFeatures(nn.Module):
    """Stock, arrivals and the echelon gap of every graph node, in periods of its mean demand.

    `forward` gives the features and the gap: what the echelon's position lacks to the level that would cover its lead
    time's demand, the order of an echelon base-stock policy.
    """

    rows: Tensor
    scale: Tensor
    centre: Tensor
    columns: Tensor
    expiry_from: Tensor
    spread_from: Tensor
    spread_to: Tensor
    spread_weight: Tensor
    echelon: Tensor
    senders: Tensor
    per_flow: Tensor

    def __init__(self, simulator: NetworkSimulator, graph: GraphIndex) -> None:
        super().__init__()
        lay = simulator.layout
        flow = torch.tensor(np.maximum(lay.flow, 1e-3)[: lay.num_stocking], dtype=torch.get_default_dtype())
        self.num_stocking, self.extra = lay.num_stocking, graph.num_nodes - lay.num_stocking
        cells, weights = _arrival_cells(lay)
        used = sorted({knot for _, knot, _ in cells})
        self.num_knots = len(used)
        self.memory, self.ageing = simulator.memory, simulator.ageing
        columns = [0, 1, *(2 + k for k in used)]
        columns += [2 + len(ARRIVALS) + k for k in range(len(EXPIRIES)) if self.ageing.width]
        columns += [NUM_DYNAMIC - NUM_MEMORY + k for k in range(NUM_MEMORY) if self.memory.width]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("expiry_from", torch.from_numpy(_expiry_rows(simulator)), persistent=False)
        place = {(knot, node): used.index(knot) * lay.num_stocking + node for node, knot, _ in cells}
        to = [place[knot, node] for node, knot, _ in cells]
        self.simple = len(set(to)) == len(to) and all(weight == 1.0 for weight in weights)
        none = lay.num_stocking + len(lay.slot_lane)  # the row of zeros behind stock and slots
        rows = np.full((1 + self.num_knots) * lay.num_stocking, none, dtype=np.int64)
        rows[: lay.num_stocking] = np.arange(lay.num_stocking)
        if self.simple:
            rows[lay.num_stocking + np.array(to, dtype=np.int64)] = [lay.num_stocking + slot for *_, slot in cells]
        mean = np.zeros((self.num_knots, lay.num_stocking))
        for (node, knot, slot), weight in zip(cells, weights, strict=True):
            mean[used.index(knot), node] += weight * lay.lane_flow[lay.slot_lane[slot]] / max(lay.flow[node], 1e-3)
        centre = np.concatenate([np.ones((1, lay.num_stocking)), mean])
        shrink = np.concatenate([np.sqrt(cover(lay))[None], np.ones_like(mean)])
        for name, tensor in (
            ("rows", torch.from_numpy(rows)),
            ("spread_from", torch.tensor([slot for *_, slot in cells], dtype=torch.long)),
            ("spread_to", torch.tensor(to, dtype=torch.long)),
            ("spread_weight", torch.tensor(weights, dtype=flow.dtype)),
            ("scale", (1 / (flow * torch.from_numpy(shrink).to(flow)))[..., None]),
            ("centre", torch.from_numpy(-centre / shrink).to(flow)[..., None]),
            ("per_flow", (1 / flow)[:, None]),
        ):
            self.register_buffer(name, tensor, persistent=False)
        self._register_echelons(lay, flow)

    def _register_echelons(self, lay: Layout, flow: Tensor) -> None:
        """How much of each node's position belongs to each node's echelon: the share of its flow that comes from it."""
        shares = echelon_shares(lay)
        above = [k for k, row in enumerate(shares) if len(row) > 1]
        self.flat = not above
        self.few = len(above) <= FEW
        if self.few:
            dense = torch.zeros(len(above), lay.num_stocking)
            for k, node in enumerate(above):
                for below, share in shares[node].items():
                    dense[k, below] = share if below != node else 0.0
            self.register_buffer("echelon", dense.to(flow), persistent=False)
            self.register_buffer("senders", torch.tensor(above, dtype=torch.long), persistent=False)
        else:
            pairs = [(node, below, share) for node in above for below, share in shares[node].items() if below != node]
            self.register_buffer("senders", torch.tensor([[p[0], p[1]] for p in pairs]).t(), persistent=False)
            self.register_buffer("echelon", torch.tensor([p[2] for p in pairs]).to(flow)[:, None], persistent=False)

    def forward(self, state: NetworkState, level: Float[Tensor, "node any_batch"]) -> tuple[Tensor, Tensor]:
        own = self._own(state)
        gap = level - self.per_flow * self._echelon_position(own.sum(0))
        shaped = torch.addcmul(self.centre, own, self.scale)
        parts = [shaped[:1], gap[None], shaped[1:]]
        if self.ageing.width:
            parts.append(self._expiring(state) * self.per_flow)
        if self.memory.width:
            parts.append(self._remembered(state))
        features = torch.cat(parts)
        if self.extra:
            features = nn.functional.pad(features, (0, 0, 0, self.extra))
        return features, gap

    def _own(self, state: NetworkState) -> Float[Tensor, "cell node batch"]:
        """Stock and arrivals by knot [units]; their sum is the node's position."""
        stock, pipeline = state.net_inventory.t(), state.pipeline.t()
        batch = stock.shape[1]
        if self.simple:
            padded = torch.cat((stock, pipeline, stock.new_zeros(1, batch)))
            return padded.index_select(0, self.rows).view(-1, self.num_stocking, batch)
        due = pipeline.index_select(0, self.spread_from) * self.spread_weight[:, None]
        arrivals = stock.new_zeros(self.num_knots * self.num_stocking, batch).index_add(0, self.spread_to, due)
        return torch.cat((stock[None], arrivals.view(-1, self.num_stocking, batch)))

    def _expiring(self, state: NetworkState) -> Float[Tensor, "expiry node batch"]:
        """Stock of every node that lasts at most 1, 2, … periods more [units]."""
        aging = state.aging.t()
        padded = torch.cat((aging, aging.new_zeros(1, aging.shape[1])))
        return padded.index_select(0, self.expiry_from).view(len(EXPIRIES), self.num_stocking, -1)

    def _remembered(self, state: NetworkState) -> Float[Tensor, "memory node batch"]:
        """Demand of the last period, of those remembered, and its smoothed level, each less what was expected."""
        memory, stores = state.memory.t() - 1.0, self.memory.num_stores
        lags = memory[: self.memory.window * self.memory.lag_width].view(self.memory.window, -1, memory.shape[1])
        level = memory[self.memory.window * self.memory.lag_width :]
        none = memory.new_zeros(stores, memory.shape[1])
        last, mean = (lags[0].expand_as(none), lags.mean(0).expand_as(none)) if len(lags) else (none, none)
        rows = torch.stack((last, mean, level if self.memory.smooths else none))
        return nn.functional.pad(rows, (0, 0, 0, self.num_stocking - stores))

    def _echelon_position(self, position: Float[Tensor, "node batch"]) -> Float[Tensor, "node batch"]:
        if self.flat:
            return position
        if self.few:
            with in_full_precision(position):
                return position.index_add(0, self.senders, self.echelon @ position)
        below = position.index_select(0, self.senders[1]) * self.echelon
        return position.index_add(0, self.senders[0], below)


def _arrival_cells(lay: Layout) -> tuple[list[tuple[int, int, int]], list[float]]:
    """(node, knot, slot) and its weight: each slot's goods split between the two knots around their arrival."""
    cells: list[tuple[int, int, int]] = []
    weights: list[float] = []
    for slot, (lane, arrival) in enumerate(zip(lay.slot_lane.tolist(), lay.slot_arrival.tolist(), strict=True)):
        node = int(lay.target[lane])
        above = next(k for k, knot in enumerate(ARRIVALS) if knot >= arrival)
        if ARRIVALS[above] == arrival:
            cells.append((node, above, slot))
            weights.append(1.0)
            continue
        share = (arrival - ARRIVALS[above - 1]) / (ARRIVALS[above] - ARRIVALS[above - 1])
        cells += [(node, above - 1, slot), (node, above, slot)]
        weights += [1.0 - share, share]
    return cells, weights


def _expiry_rows(simulator: NetworkSimulator) -> Ints:
    """Column of `aging` for every expiry and stocking node; the one behind the last for nodes whose stock keeps."""
    places = simulator.layout.num_stocking
    index = {node.id: k for k, node in enumerate(simulator.layout.nodes[:places])}
    rows = np.full((len(EXPIRIES), places), simulator.ageing.width, dtype=np.int64)
    for slot, (node_id, life) in enumerate(simulator.ageing.layout_of_columns):
        for k, expiry in enumerate(EXPIRIES):
            if life <= expiry:  # later slots of the node overwrite: the longest life within the expiry stays
                rows[k, index[node_id]] = slot
    return rows.reshape(-1)
