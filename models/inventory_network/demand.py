"""Sampling demand: paths (batch, stage, store), in node-major memory so that a stage is one contiguous block."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from models.inventory_network.demand_process import DemandProcess, Empirical, Normal, Poisson


def sample_demand(
    process: DemandProcess, order: list[str], batch: int, stages: int, generator: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "batch stage store"]:
    """Demand [units/period] of the stores named in `order`, drawn with `generator` on its device."""
    columns = [process.node_ids.index(node_id) for node_id in order]
    like = torch.zeros((), dtype=dtype, device=generator.device)
    if isinstance(process, Poisson):
        paths = _poisson(process, stages, batch, generator, like)
    elif isinstance(process, Normal):
        paths = _normal(process, stages, batch, generator, like)
    else:
        paths = _empirical(process, stages, batch, generator, like)
    return paths[:, columns].permute(2, 0, 1)


# Each process draws (stage, store, batch) with the precision and device of `like`.


def _poisson(process: Poisson, stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
    mean = torch.from_numpy(process.moments()[0]).to(like)
    return torch.poisson(mean[None, :, None].expand(stages, -1, batch), generator=generator)


def _normal(process: Normal, stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
    nodes = list(process.nodes.values())
    mean = torch.tensor([node.mean for node in nodes]).to(like)[:, None]
    std = torch.tensor([node.std for node in nodes]).to(like)[:, None]
    shape = (stages, len(nodes), batch)
    standard = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
    if process.correlation and len(nodes) > 1:
        standard = torch.einsum("ij,tjb->tib", _correlation_root(len(nodes), process.correlation).to(like), standard)
    return (mean + std * standard).clamp_min(0.0)


def _correlation_root(size: int, correlation: float) -> Tensor:
    """The symmetric square root of the equicorrelation matrix, singular ones included.

    Its eigenvalues are 1 + (n−1)ρ on the diagonal direction and 1 − ρ on the rest.
    """
    common = math.sqrt(max(1 + (size - 1) * correlation, 0.0))
    rest = math.sqrt(max(1 - correlation, 0.0))
    return torch.eye(size) * rest + torch.full((size, size), (common - rest) / size)


def _empirical(process: Empirical, stages: int, batch: int, generator: torch.Generator, like: Tensor) -> Tensor:
    history = torch.tensor(process.history).to(like).t().contiguous()  # (store, row)
    rows = torch.randint(len(process.history), (stages, batch), generator=generator, device=like.device)
    drawn: Tensor = history.index_select(1, rows.flatten()).reshape(-1, stages, batch)
    return drawn.permute(1, 0, 2)
