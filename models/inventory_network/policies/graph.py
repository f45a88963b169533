"""The graph network: message passing over the lanes, one set of weights for any network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.core import NetworkSize
from models.dynamics import Stage
from models.inventory_network.encoder import NetworkEncoder
from models.inventory_network.policies.graph_features import NUM_DYNAMIC, DynamicFeatures, GraphIndex
from models.inventory_network.policies.graph_static import NUM_LANE, NUM_NODE, StaticFeatures, starting_level
from models.inventory_network.policies.leftover import Leftover
from models.inventory_network.policy import NetworkPolicy, lane_scale, nearly_positive
from models.inventory_network.simulator import NetworkSimulator, NetworkState, Orders
from models.message_passing import LaneSum
from models.networks import FeatureMap, bend, mix, read_each


@dataclass(frozen=True)
class Constants:
    """What the weights make of the static features: the same for every scenario, one column per stage."""

    entry: Tensor  # (width, feature) first layer, of the features the network has
    level: Tensor  # (node, stage) echelon base-stock level [periods of demand]
    enter: Tensor  # (width, node, stage) added to the first layer
    round: Tensor  # (width, node, stage) added in every round of messages
    read: Tensor  # (width, lane, stage) how each lane's order reads its receiver's features
    ask: Tensor  # (pair, lane, stage) added in the layer of lanes
    slope: Tensor  # (lane, stage) how much of the gap is ordered
    shift: Tensor  # (lane, stage) ordered beside it [periods of demand]
    surplus: Tensor  # (lane, …, stage) ordered more per unit that the sender has left over [periods of demand]
    shortage: Tensor  # (lane, …, stage) ordered less per unit that it lacks [periods of demand]

    def at(self, stage: int) -> "Constants":
        """One stage's column."""
        if self.level.shape[-1] == 1:
            return self
        now = {name: value[..., stage : stage + 1] for name, value in vars(self).items() if name != "entry"}
        return Constants(entry=self.entry, **now)


class GraphPolicy(NetworkPolicy):
    """Message passing over the lane graph: the weights are shared by all nodes, lanes and rounds, so no network
    changes their number, and one policy can serve networks it never saw.

    It departs from an echelon base-stock policy: what it orders on a lane is the gap of the receiving echelon, times
    a slope and beside a shift, both learned from the lane's static features, plus what the network makes of the state.
    Source: Alvo et al., arXiv 2306.11246 (graph neural policy).
    """

    lane_scale: Tensor
    lane_sender: Tensor
    lane_source: Tensor
    order: Tensor
    rank: Tensor
    senders: Tensor
    level: Tensor
    spread: Tensor
    target: Tensor

    def __init__(self, simulator: NetworkSimulator, size: NetworkSize) -> None:
        super().__init__(simulator)
        self.encoder = NetworkEncoder(simulator)
        width = size.width
        graph = GraphIndex(simulator)
        self.rounds = min(size.rounds, graph.rounds) if size.rounds is not None else graph.rounds
        self.dynamic, self.static = DynamicFeatures(simulator, graph), StaticFeatures(simulator, graph)
        self.embed_node = nn.ModuleList((FeatureMap(NUM_NODE, width, bias=True), FeatureMap(width, width, bias=True)))
        self.embed_lane = FeatureMap(NUM_LANE, width, bias=True)
        self.pairs = max(width // 4, 1)
        self.about_node = FeatureMap(width, 2 * width + 3)
        self.about_lane = FeatureMap(3 * width, width + self.pairs + 3)
        self.enter = FeatureMap(NUM_DYNAMIC, width)
        self.keep, self.speak_up, self.speak_down = (FeatureMap(width, width) for _ in range(3))
        self.ask_target, self.ask_source = FeatureMap(width, self.pairs), FeatureMap(width, self.pairs)
        self.answer = nn.Parameter(torch.zeros(1, self.pairs))
        self.read = nn.Parameter(torch.zeros(width, 1, 1))
        nn.init.zeros_(self.about_node.weight[-3:])
        nn.init.zeros_(self.about_lane.weight[-3:])
        nn.init.zeros_(self.about_lane.weight[:width])
        self._register_graph(simulator, graph)

    def _register_graph(self, simulator: NetworkSimulator, graph: GraphIndex) -> None:
        lay = simulator.layout
        dtype = torch.get_default_dtype()
        down = torch.from_numpy(np.stack((graph.sender, graph.target)))
        up = torch.from_numpy(np.stack((graph.target, graph.sender)))
        share_in, share_out = (torch.tensor(x, dtype=dtype) for x in (graph.share_in, graph.share_out))
        senders, count = len(graph.senders), graph.num_nodes
        self.to_customers = LaneSum(down, share_in, (senders, count))
        self.to_suppliers = LaneSum(up, share_out, (count, senders))
        # Lanes are taken by receiving node: where each has one supplier, a node's row is its lane's.
        order = np.argsort(lay.target, kind="stable")
        self.leftover = Leftover(simulator, graph, order, lane_scale(simulator))
        self.one_supplier = bool((lay.target[order] == np.arange(lay.num_lanes)).all())
        # Lanes from unlimited suppliers have no sender that could say anything: they point to a row of silence.
        sender = np.full(lay.num_lanes, senders, dtype=np.int64)
        sender[graph.lanes] = graph.sender
        place = {node: k for k, node in enumerate(graph.nodes.tolist())}
        source = np.array([place.get(s, count) for s in lay.source.tolist()], dtype=np.int64)
        level, spread = starting_level(simulator)
        self.silent = senders == 0
        for name, value in (
            ("senders", graph.senders),
            ("order", order),
            ("rank", np.argsort(order)),
            ("lane_sender", sender[order]),
            ("lane_source", source[order]),
            ("target", lay.target[order]),
        ):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        self.register_buffer("level", torch.tensor(level, dtype=dtype)[:, None], persistent=False)
        self.register_buffer("spread", torch.tensor(spread, dtype=dtype)[:, None], persistent=False)
        self.register_buffer("lane_scale", lane_scale(simulator)[:, None], persistent=False)

    def settle(self) -> Callable[[NetworkState, Stage], Orders]:
        count = self.simulator.num_stages if self.static.varying else 1
        known = self.constants(torch.arange(count, device=self.level.device).to(self.level))

        def decide(state: NetworkState, stage: Stage) -> Orders:
            now = known.at(stage) if isinstance(stage, int) else self._constants(stage)
            return self.simulator.repair(state, self._ask(state, now), stage)

        return decide

    def constants(self, stages: Float[Tensor, " stage"]) -> Constants:
        """What the weights make of the static features, at every one of the stages."""
        nodes, lanes, outlook = self.static(stages)
        for layer in self.embed_node:
            nodes = bend(layer(nodes))
        lanes = bend(self.embed_lane(lanes.index_select(1, self.order)))
        width, stocking = len(nodes), len(self.level)
        about = self.about_node(nodes)
        padded = nn.functional.pad(nodes, (0, 0, 0, 1))
        ends = (lanes, nodes.index_select(1, self.target), padded.index_select(1, self.lane_source))
        asks = self.about_lane(torch.cat(ends))
        level = (self.level + self.spread * about[-1, :stocking]) * outlook[:stocking]
        read, ask = self.read + asks[:width], asks[width:-3]
        entry = self.enter.weight[:, self.dynamic.columns]
        enter, turn = about[:width], about[width:-3]
        given_out = about[-3:-1].index_select(1, self.senders)
        surplus, shortage = self.leftover.per_unit(asks[-1], given_out[0], given_out[1])
        return Constants(entry, level, enter, turn, read, ask, 1.0 + asks[-3], asks[-2], surplus, shortage)

    def features(self, state: NetworkState, stage: Stage) -> Float[Tensor, "batch feature"]:
        features: Tensor = self.encoder(state, stage)
        return features

    def propose(self, state: NetworkState, stage: Stage) -> Orders:
        return self._ask(state, self._constants(stage))

    def _ask(self, state: NetworkState, known: Constants) -> Orders:
        inputs, gap = self.dynamic(state, known.level)
        # Sums are taken in place wherever no gradient needs what they overwrite.
        nodes = bend(mix(known.entry, inputs).add_(known.enter))
        for _ in range(max(self.rounds, 1)):
            nodes = bend(self._converse(nodes).add_(known.round)).add_(nodes)
        pairs = self._at_lanes(self.ask_target(nodes)).add_(known.ask)
        if not self.silent:
            offers = nn.functional.pad(self.ask_source(nodes.index_select(1, self.senders)), (0, 0, 0, 1))
            pairs = pairs.add_(offers.index_select(1, self.lane_sender))
        answer = mix(self.answer, bend(pairs))[0].add_(self._read(nodes, known.read)).add_(known.shift)
        gap = gap if self.one_supplier else gap.index_select(0, self.target)
        wanted = nearly_positive(torch.addcmul(answer, known.slope, gap))
        if not self.silent:
            wanted = self.leftover(state, wanted, known.surplus, known.shortage)
        return Orders((self.lane_scale * wanted.index_select(0, self.rank)).t())

    def _at_lanes(self, nodes: Float[Tensor, "feature node batch"]) -> Float[Tensor, "feature lane batch"]:
        """Rows of the receiving node of every lane, as a tensor of their own."""
        if self.one_supplier and nodes.shape[1] == len(self.target):
            return nodes
        return nodes.index_select(1, self.target)

    def _read(
        self, nodes: Float[Tensor, "width node batch"], read: Float[Tensor, "width lane any_batch"]
    ) -> Float[Tensor, "lane batch"]:
        """What each lane's own weights make of its receiver's features."""
        received = self._at_lanes(nodes)
        if read.shape[-1] > 1:
            return (read * received).sum(0)
        return read_each(read[..., 0], received)

    def _constants(self, stage: Stage) -> Constants:
        return self.constants(torch.as_tensor(stage, device=self.level.device).to(self.level).reshape(-1))

    def _converse(self, nodes: Float[Tensor, "width node batch"]) -> Float[Tensor, "width node batch"]:
        """What every node makes of its own state, of its suppliers' and of its customers'."""
        heard: Tensor = self.keep(nodes)
        if self.silent:
            return heard
        heard = self.to_customers(self.speak_down(nodes.index_select(1, self.senders)), heard)
        return heard.index_add_(1, self.senders, self.speak_up(self.to_suppliers(nodes)))


def graph_policy(net: Any, simulator: NetworkSimulator, size: NetworkSize) -> GraphPolicy:
    """Family `gnn`."""
    return GraphPolicy(simulator, size)
