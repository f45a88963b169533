"""Neural building blocks shared by the rooms: multilayer perceptron, message passing over lanes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing


def perceptron(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """Fully connected network with `depth` hidden ELU layers of `width` units and a linear head."""
    layers: list[nn.Module] = []
    size = inputs
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.ELU()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs))


class LanePair(nn.Module):
    """A hidden layer on (source, target, lane) features of every lane, the affine parts taken before the gather.

    Equal to a linear layer on the three concatenated, at the cost of one per node instead of three per lane.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_source = nn.Linear(width, width)
        self.from_target = nn.Linear(width, width, bias=False)
        self.from_lane = nn.Linear(width, width, bias=False)

    def forward(
        self,
        nodes: Float[Tensor, "batch node width"],
        lanes: Float[Tensor, "any_batch lane width"],
        edge_index: Int[Tensor, "2 lane"],
    ) -> Float[Tensor, "batch lane width"]:
        source = self.from_source(nodes).index_select(1, edge_index[0])
        target = self.from_target(nodes).index_select(1, edge_index[1])
        return nn.functional.elu(source + target + self.from_lane(lanes))


class LaneConvolution(MessagePassing):
    """One round of messages along the lanes of a supply network, both ways, on (batch, node, feature) tensors.

    Messages are weighted by the share of the node's flow on the lane, so that what a node hears does not grow with the
    number of its neighbours; the same weights serve any network.
    """

    def __init__(self, width: int) -> None:
        super().__init__(aggr="sum", node_dim=-2)
        self.speak = LanePair(width)
        self.update_nodes = nn.Sequential(nn.Linear(3 * width, width), nn.ELU(), nn.Linear(width, width))

    def forward(
        self,
        nodes: Float[Tensor, "batch node width"],
        lanes: Float[Tensor, "any_batch lane width"],
        edge_index: Int[Tensor, "2 lane"],
        share_in: Float[Tensor, " lane"],
        share_out: Float[Tensor, " lane"],
    ) -> Float[Tensor, "batch node width"]:
        said = self.speak(nodes, lanes, edge_index)
        size = (nodes.shape[-2], nodes.shape[-2])
        from_above = self.propagate(edge_index, said=said, share=share_in, size=size)
        from_below = self.propagate(edge_index.flip(0), said=said, share=share_out, size=size)
        heard: Tensor = self.update_nodes(torch.cat((nodes, from_above, from_below), dim=-1))
        return nodes + heard

    def message(self, said: Tensor, share: Tensor) -> Tensor:
        """What is said on a lane, as loud as its share of the node's flow."""
        return share[:, None] * said
