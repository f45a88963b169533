"""Neural building blocks shared by the rooms: multilayer perceptron, message passing over lanes.

Tensors of graphs are (feature, node, batch): a linear layer is then one matrix product over all nodes and scenarios, a
gather copies whole rows of scenarios, and stacking features copies nothing twice.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

DENSE = 8  # receiving nodes up to which a sum over lanes is a matrix product


def perceptron(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """Fully connected network with `depth` hidden ELU layers of `width` units and a linear head."""
    layers: list[nn.Module] = []
    size = inputs
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ELU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs))


def bend(values: Tensor) -> Tensor:
    """Hard swish, x·min(max(x + 3, 0), 6)/6: smooth, and a fifth of the time ELU takes on a CPU."""
    return nn.functional.hardswish(values)


def mix(weight: Float[Tensor, "out feature"], values: Float[Tensor, "feature node batch"]) -> Tensor:
    """A linear map of the features of every node and scenario, as one matrix product: (out, node, batch)."""
    return (weight @ values.reshape(len(values), -1)).view(len(weight), *values.shape[1:])


class FeatureMap(nn.Module):
    """A linear map of the features of (feature, node, batch) tensors; `columns` picks the features that are given."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, values: Float[Tensor, "feature node batch"], columns: Tensor | None = None) -> Tensor:
        mixed = mix(self.weight if columns is None else self.weight[:, columns], values)
        return mixed if self.bias is None else mixed + self.bias[:, None, None]


class LaneSum(MessagePassing):
    """Weighted sums over the lanes of a graph, from one set of nodes to another, on (feature, node, batch) tensors.

    The lanes are compiled once: few receivers take a matrix product, many a scattered sum of whole rows of scenarios.
    """

    weights: Tensor
    edge_index: Tensor

    def __init__(self, edge_index: Int[Tensor, "2 lane"], weight: Float[Tensor, " lane"], size: Sequence[int]) -> None:
        super().__init__(aggr="sum", node_dim=-2)
        self.lanes_between = (int(size[0]), int(size[1]))  # numbers of sending and of receiving nodes
        self.dense = self.lanes_between[1] <= DENSE
        lanes = torch.arange(edge_index.shape[1])
        if self.dense:
            weight = weight.new_zeros(size[1], len(weight)).index_put((edge_index[1], lanes), weight)
        self.same = bool((weight == 1).all())
        self.register_buffer("edge_index", edge_index, persistent=False)
        self.register_buffer("weights", weight, persistent=False)

    def forward(self, nodes: Float[Tensor, "feature sender batch"]) -> Float[Tensor, "feature receiver batch"]:
        heard: Tensor = self.propagate(self.edge_index, said=(nodes, None), size=self.lanes_between)
        return heard

    def message(self, said_j: Tensor) -> Tensor:
        """What is said on a lane is what its sender holds."""
        return said_j

    def aggregate(self, inputs: Tensor, index: Tensor) -> Tensor:
        """What a node hears: the sum of what is said on its lanes, each as loud as its weight."""
        if self.dense:
            return torch.matmul(self.weights, inputs)
        if not self.same:
            inputs = inputs * self.weights[:, None]
        silence = inputs.new_zeros(inputs.shape[0], self.lanes_between[1], inputs.shape[2])
        return silence.index_add(1, index, inputs)
