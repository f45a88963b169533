"""Arithmetic on (batch, column) tensors kept in column-major memory, so that a column is one contiguous block."""

import torch
from torch import Tensor


def column(values: list[float]) -> Tensor:
    """Parameters in the default precision."""
    return torch.tensor(values, dtype=torch.get_default_dtype())


def run_of(index: Tensor) -> slice | None:
    """The slice that picks what `index` does, if its columns follow one another."""
    if not len(index):
        return None
    first = int(index[0])
    return slice(first, first + len(index)) if index.tolist() == list(range(first, first + len(index))) else None


def take(values: Tensor, index: Tensor, run: slice | None = None) -> Tensor:
    """Columns of (batch, column), each one contiguous copy; a view where they are a `run`, which costs nothing."""
    return values.t().index_select(0, index).t() if run is None else values[:, run]


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
