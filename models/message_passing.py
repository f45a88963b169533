"""Message passing over the lanes of a graph. Apart from the other networks, for torch-geometric takes long to load."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch_geometric.nn import MessagePassing

from models.networks import FEW


class LaneSum(MessagePassing):
    """Weighted sums over the lanes of a graph, from one set of nodes to another, on (feature, node, batch) tensors.

    The lanes are compiled once: few receivers take one matrix product, many a gather and a scattered sum of whole rows
    of scenarios.
    """

    weights: Tensor
    edge_index: Tensor

    def __init__(self, edge_index: Int[Tensor, "2 lane"], weight: Float[Tensor, " lane"], size: Sequence[int]) -> None:
        super().__init__(aggr="sum", node_dim=-2)
        senders, receivers = int(size[0]), int(size[1])
        self.lanes_between = (senders, receivers)
        self.few = receivers <= FEW
        self.same = bool((weight == 1).all())
        if self.few:
            place = (edge_index[1], edge_index[0])
            weight = weight.new_zeros(receivers, senders).index_put(place, weight, accumulate=True)
        self.register_buffer("edge_index", edge_index, persistent=False)
        self.register_buffer("weights", weight, persistent=False)

    def forward(
        self, nodes: Float[Tensor, "feature sender batch"], onto: Float[Tensor, "feature receiver batch"] | None = None
    ) -> Float[Tensor, "feature receiver batch"]:
        """What every receiver hears; added in place to `onto` if given."""
        if self.few:
            heard = torch.matmul(self.weights, nodes)
            return heard if onto is None else onto.add_(heard)
        if onto is None:
            onto = nodes.new_zeros(nodes.shape[0], self.lanes_between[1], nodes.shape[2])
        summed: Tensor = self.propagate(self.edge_index, said=(nodes, None), onto=onto, size=self.lanes_between)
        return summed

    def message(self, said_j: Tensor) -> Tensor:
        """What is said on a lane is what its sender holds."""
        return said_j

    def aggregate(self, inputs: Tensor, index: Tensor, onto: Tensor) -> Tensor:
        """The sum of what is said on a node's lanes, each as loud as its weight."""
        return onto.index_add_(1, index, inputs if self.same else inputs * self.weights[:, None])
