"""The stand's dynamics: order, then demand."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.dynamics import Costs, Simulator, Stage, Tensors
from tests.toy_problem.instance import Newsstand


@dataclass(frozen=True)
class Stock(Tensors):
    """Copies there, before or after the order."""

    copies: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Order(Tensors):
    """Copies ordered, there at once."""

    copies: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Demand(Tensors):
    """Copies asked for each day."""

    copies: Float[Tensor, "batch stage"]


class NewsstandSimulator(Simulator[Stock, Stock, Order, Demand]):
    """decide adds the order, realize takes the demand away."""

    zero: Tensor

    def __init__(self, stand: Newsstand, counts: bool = True) -> None:
        super().__init__()
        self.stand, self.counts = stand, counts
        self.num_stages = stand.days
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def initial(self, batch: int, generator: torch.Generator) -> Stock:
        return Stock(self.zero.new_full((batch,), self.stand.stock))

    def sample(self, batch: int, generator: torch.Generator) -> Demand:
        share = torch.rand(
            (batch, self.num_stages), generator=generator, dtype=self.zero.dtype, device=self.zero.device
        )
        return Demand(self.stand.low + (self.stand.high - self.stand.low) * share)

    def expected(self, batch: int) -> Demand:
        return Demand(self.zero.new_full((batch, self.num_stages), (self.stand.low + self.stand.high) / 2))

    def decide(self, state: Stock, decision: Order, stage: Stage) -> tuple[Stock, Costs]:
        return Stock(state.copies + decision.copies), Costs({})

    def realize(self, post: Stock, noise: Demand, stage: Stage) -> tuple[Stock, Costs]:
        demand = noise.copies[:, stage]
        left, missed = (post.copies - demand).clamp_min(0), (demand - post.copies).clamp_min(0)
        components = {"holding": self.stand.holding_cost * left, "shortage": self.stand.shortage_cost * missed}
        quantities = {"demand": demand, "met": demand - missed} if self.counts else {}
        return Stock(left), Costs(components, quantities)

    def repair(self, state: Stock, decision: Order, stage: Stage) -> Order:
        return Order(decision.copies.clamp_min(0))

    def violation(self, state: Stock, decision: Order, stage: Stage) -> Float[Tensor, " batch"]:
        return (-decision.copies).clamp_min(0)

    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        return {"fill_rate": float(quantities["met"].sum() / quantities["demand"].sum())}
