"""Neural building blocks shared by the rooms: multilayer perceptrons, linear maps over the nodes of a graph.

Tensors of graphs are (feature, node, batch): a linear layer is then one matrix product over all nodes and scenarios, a
gather copies whole rows of scenarios, and stacking features copies nothing twice.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEW = 8  # receiving nodes up to which a sum over lanes is a matrix product


def perceptron(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """Fully connected network, `depth` hidden layers of `width` hard-swish units; its linear head starts at zero."""
    layers: list[nn.Module] = []
    size = inputs
    for _ in range(depth):
        layers += [nn.Linear(size, width), nn.Hardswish()]
        size = width
    head = nn.Linear(size, outputs)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, head)


def squashed(inputs: int, width: int, depth: int, outputs: int, gain: float) -> nn.Sequential:
    """Fully connected network, `depth` hidden layers of `width` tanh units, orthogonal weights, the head's by `gain`.

    What policy gradients learn best with: hidden units stay bounded however far a policy's features move, and a small
    head starts from even chances (Andrychowicz et al., "What matters for on-policy deep actor-critic methods", 2021).
    """
    layers: list[nn.Module] = []
    size = inputs
    for _ in range(depth):
        layers += [orthogonal(nn.Linear(size, width), math.sqrt(2)), nn.Tanh()]
        size = width
    return nn.Sequential(*layers, orthogonal(nn.Linear(size, outputs), gain))


def orthogonal(layer: nn.Linear, gain: float) -> nn.Linear:
    """The layer with orthogonal weights and no bias."""
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def by_columns(network: nn.Linear | nn.Sequential, values: Float[Tensor, "feature batch"]) -> Tensor:
    """A linear layer, or a `perceptron`, on features in rows: nothing is transposed, (output, batch)."""
    if isinstance(network, nn.Linear):
        return torch.addmm(network.bias[:, None], network.weight, values)
    layers = [(layer.weight, layer.bias) for layer in network if isinstance(layer, nn.Linear)]
    if lowered(values):
        for k, (weight, bias) in enumerate(layers):
            values = torch.addmm(bias[:, None], weight, bend(values) if k else values)
        return values
    outputs: tuple[Tensor, ...] = _Columns.apply(values, *chain(*layers))  # type: ignore[no-untyped-call]
    return outputs[0]


class _Columns(torch.autograd.Function):
    """Linear layers with hard swishes between them, as one step of the gradient's tape.

    What goes into the activations is kept; what comes out is computed again where the weights' gradient needs it.
    """

    generate_vmap_rule = True  # many runs are trained at once by torch.func

    @staticmethod
    def forward(values: Tensor, *layers: Tensor) -> tuple[Tensor, ...]:
        """The last layer's output, and what the layers before it gave."""
        given: list[Tensor] = []
        for weight, bias in zip(layers[::2], layers[1::2], strict=True):
            given.append(torch.addmm(bias[:, None], weight, bend(given[-1]) if given else values))
        return given[-1], *given[:-1]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[0], *inputs[1::2], *output[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        values, *kept = ctx.saved_tensors
        weights, before = kept[: (len(kept) + 1) // 2], kept[(len(kept) + 1) // 2 :]
        gradient, found = gradients[0], list[Tensor]()  # of the output; there is none of what is kept
        if gradient is None:
            return (None,) * (1 + 2 * len(weights))
        for k in reversed(range(len(weights))):
            entered = bend(before[k - 1]) if k else values
            found = [gradient @ entered.t(), gradient.sum(1), *found]
            gradient = weights[k].t() @ gradient
            if k:
                gradient = torch.ops.aten.hardswish_backward(gradient, before[k - 1])
        return gradient, *found


def bend(values: Tensor) -> Tensor:
    """Hard swish, x·min(max(x + 3, 0), 6)/6: smooth, and a fifth of the time ELU takes on a CPU."""
    return nn.functional.hardswish(values)


def lowered(values: Tensor) -> bool:
    """Whether products of such values are taken in lower precision (autocast) now."""
    device = values.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def in_full_precision(values: Tensor) -> AbstractContextManager[Any]:
    """Where units are counted: products of such values keep their precision, whatever the networks run in."""
    return torch.autocast(values.device.type, enabled=False) if lowered(values) else nullcontext()


def mix(weight: Float[Tensor, "out feature"], values: Float[Tensor, "feature node batch"]) -> Tensor:
    """A linear map of the features of every node and scenario, as one matrix product: (out, node, batch)."""
    return (weight @ values.reshape(len(values), -1)).view(len(weight), *values.shape[1:])


class _ReadEach(torch.autograd.Function):
    """Rows read by weights of their own; written out so that gradients keep the layout and nothing is copied."""

    generate_vmap_rule = True  # many runs are trained at once by torch.func

    @staticmethod
    def forward(weight: Tensor, values: Tensor) -> Tensor:
        return torch.bmm(weight.t()[:, None], values.transpose(0, 1))[:, 0]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        weight, values = ctx.saved_tensors
        by_weight = torch.bmm(gradients[0][:, None], values.permute(1, 2, 0))[:, 0].t()
        return by_weight, weight[..., None] * gradients[0]


def read_each(
    weight: Float[Tensor, "feature row"], values: Float[Tensor, "feature row batch"]
) -> Float[Tensor, "row batch"]:
    """Σ over features of weight × value, every row by its own weights."""
    read: Tensor = _ReadEach.apply(weight, values)  # type: ignore[no-untyped-call]
    return read


class FeatureMap(nn.Module):
    """A linear map of the features of (feature, node, batch) tensors."""

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, values: Float[Tensor, "feature node batch"]) -> Float[Tensor, "out node batch"]:
        mixed = mix(self.weight, values)
        return mixed if self.bias is None else mixed + self.bias[:, None, None]
