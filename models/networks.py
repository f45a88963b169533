"""Neural building blocks shared by the rooms: multilayer perceptron, message passing over lanes."""

from typing import Any

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


class LaneConvolution(MessagePassing):
    """One round of messages along the lanes of a supply network, both ways, on (batch, node, feature) tensors.

    Messages are weighted by the share of the node's flow on the lane, so that what a node hears does not grow with the
    number of its neighbours; the same weights serve any network.
    """

    def __init__(self, width: int) -> None:
        super().__init__(aggr="sum", node_dim=-2)
        self.down = nn.Linear(3 * width, width)
        self.up = nn.Linear(3 * width, width)
        self.update_nodes = nn.Sequential(nn.Linear(3 * width, width), nn.ELU(), nn.Linear(width, width))

    def forward(
        self,
        nodes: Float[Tensor, "batch node width"],
        lanes: Float[Tensor, "batch lane width"],
        edge_index: Int[Tensor, "2 lane"],
        share_in: Float[Tensor, " lane"],
        share_out: Float[Tensor, " lane"],
    ) -> Float[Tensor, "batch node width"]:
        heard_from_above = self.propagate(edge_index, x=nodes, lanes=lanes, share=share_in, layer=self.down)
        heard_from_below = self.propagate(edge_index.flip(0), x=nodes, lanes=lanes, share=share_out, layer=self.up)
        heard: Tensor = self.update_nodes(torch.cat((nodes, heard_from_above, heard_from_below), dim=-1))
        return nodes + heard

    def message(self, x_i: Tensor, x_j: Tensor, lanes: Tensor, share: Tensor, layer: Any) -> Tensor:
        """What one end of a lane tells the other."""
        return share[:, None] * torch.nn.functional.elu(layer(torch.cat((x_i, x_j, lanes), dim=-1)))
