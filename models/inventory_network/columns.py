"""Arithmetic on (batch, column) tensors kept in column-major memory, so that a column is one contiguous block."""

import torch
from torch import Tensor


def column(values: list[float]) -> Tensor:
    """Parameters in the default precision."""
    return torch.tensor(values, dtype=torch.get_default_dtype())


def take(values: Tensor, index: Tensor) -> Tensor:
    """Columns of (batch, column), each one contiguous copy."""
    return values.t().index_select(0, index).t()


def add(values: Tensor, index: Tensor, increments: Tensor) -> Tensor:
    """`values` (batch, column) with `increments` (batch, k) added to the columns named by `index`, repeats included."""
    return values.t().index_add(0, index, increments.t()).t()


def total(values: Tensor, index: Tensor, columns: int) -> Tensor:
    """Sums of `values` (batch, k) by the column each belongs to."""
    return add(values.new_zeros(columns, values.shape[0]).t(), index, values)


def share(asked: Tensor, index: Tensor, limit: Tensor) -> Tensor:
    """The share of every entry that its column's limit allows when all are cut alike: min(1, limit / Σ asked)."""
    wanted = total(asked, index, limit.shape[1])
    return take((limit / wanted.clamp_min(1e-9)).clamp_max(1.0), index)


def straight_through(smooth: Tensor, exact: Tensor) -> Tensor:
    """The exact value, to the last digit, with the smooth one's gradient."""
    return exact.detach() + (smooth - smooth.detach())
