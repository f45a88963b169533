"""The workshop's dynamics: make, then demand."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.choices import Choices
from models.dynamics import Costs, Simulator, Stage, Tensors
from tests.workshop.instance import Workshop


@dataclass(frozen=True)
class Shop(Tensors):
    """Before or after the decision: pieces there, and what each machine made last (`items` for nothing)."""

    stock: Float[Tensor, "batch item"]
    setup: Int[Tensor, "batch machine"]


@dataclass(frozen=True)
class Work(Tensors):
    """What each machine makes; `items` for nothing."""

    item: Int[Tensor, "batch machine"]


@dataclass(frozen=True)
class Demand(Tensors):
    """Pieces asked for each day."""

    pieces: Float[Tensor, "batch stage item"]


class WorkshopChoices(Choices[Shop, Work]):
    """A slot is a machine, an option an item, the last one nothing."""

    def __init__(self, shop: Workshop) -> None:
        self.num_slots, self.num_options = shop.machines, shop.items + 1
        self.coupled = shop.one_of_a_kind

    def feasible(
        self, state: Shop, stage: Stage, choice: Int[Tensor, "batch slot"] | None = None
    ) -> Bool[Tensor, "batch slot option"]:
        shape = (state.batch, self.num_slots, self.num_options)
        free = torch.ones(shape, dtype=torch.bool, device=state.stock.device)
        if self.coupled and choice is not None:
            for slot in range(1, self.num_slots):
                free[:, slot].scatter_(1, choice[:, :slot], False)
            free[:, :, -1] = True
        return free

    def decision(self, choice: Int[Tensor, "batch slot"]) -> Work:
        return Work(choice)

    def choice(self, decision: Work) -> Int[Tensor, "batch slot"]:
        return decision.item


class WorkshopSimulator(Simulator[Shop, Shop, Work, Demand]):
    """decide makes pieces and pays for setups, realize takes the demand away."""

    zero: Tensor

    def __init__(self, shop: Workshop, counts: bool = True) -> None:
        super().__init__()
        self.shop, self.counts = shop, counts
        self.num_stages = shop.days
        self.choices = WorkshopChoices(shop)
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def initial(self, batch: int, generator: torch.Generator) -> Shop:
        drawn = torch.randint(
            self.shop.stock_max, (batch, self.shop.items), generator=generator, device=self.zero.device
        )
        setup = torch.full((batch, self.shop.machines), self.shop.items, device=self.zero.device)
        return Shop(drawn.to(self.zero.dtype), setup)

    def sample(self, batch: int, generator: torch.Generator) -> Demand:
        shape = (batch, self.num_stages, self.shop.items)
        return Demand(torch.randint(3, shape, generator=generator, device=self.zero.device).to(self.zero.dtype))

    def expected(self, batch: int) -> Demand:
        return Demand(self.zero.new_ones((batch, self.num_stages, self.shop.items)))

    def decide(self, state: Shop, decision: Work, stage: Stage) -> tuple[Shop, Costs]:
        made = torch.nn.functional.one_hot(decision.item, self.shop.items + 1)[..., :-1].sum(1)
        changed = (decision.item != state.setup) & (decision.item < self.shop.items)
        costs = Costs({"setup": self.shop.setup_cost * changed.sum(1).to(self.zero.dtype)})
        return Shop(state.stock + self.shop.made * made, decision.item), costs

    def realize(self, post: Shop, noise: Demand, stage: Stage) -> tuple[Shop, Costs]:
        rows = torch.arange(post.batch, device=self.zero.device)
        demand = noise.pieces[rows, stage]
        left = (post.stock - demand).clamp(0, self.shop.stock_max)
        missed = (demand - post.stock).clamp_min(0)
        holding, shortage = self.shop.holding_cost * left.sum(1), self.shop.shortage_cost * missed.sum(1)
        quantities = {"demand": demand.sum(1), "met": (demand - missed).sum(1)} if self.counts else {}
        return Shop(left, post.setup), Costs({"holding": holding, "shortage": shortage}, quantities)

    def repair(self, state: Shop, decision: Work, stage: Stage) -> Work:
        item = decision.item.round().long() if decision.item.is_floating_point() else decision.item
        return Work(item)

    def violation(self, state: Shop, decision: Work, stage: Stage) -> Float[Tensor, " batch"]:
        allowed = self.choices.feasible(state, stage, decision.item)
        kept = allowed.gather(2, decision.item.unsqueeze(2)).squeeze(2).all(1)
        return (~kept).to(self.zero.dtype)

    def service(self, quantities: Mapping[str, Float[Tensor, " batch"]]) -> dict[str, float]:
        return {"fill_rate": float(quantities["met"].sum() / quantities["demand"].sum())}
