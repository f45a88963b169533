"""What a plant's machines may be given, and how much they then make: capability, maintenance, runs, components."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.choices import Choices
from models.dynamics import Stage, Tensors
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout

ENOUGH = 1e-4  # how far components may miss what a lot needs, relative [–]: rounding


@dataclass(frozen=True)
class LotState(Tensors):
    """What is known before deciding."""

    stock: Float[Tensor, "batch item"]  # [units], net of backlog
    setup: Int[Tensor, "batch machine"]  # item each machine is set up for, I: none
    run: Int[Tensor, "batch bound"]  # periods it must still make that item; no column unless runs have a minimum


@dataclass(frozen=True)
class Lots(Tensors):
    """The decision: what every machine makes."""

    item: Int[Tensor, "batch machine"]  # I: nothing
    share: Float[Tensor, "batch lot"]  # of its full output, 0 … 1; no column where it is all or nothing


class Output(nn.Module):
    """Full output of a machine: its hours' production, less what a changeover loses."""

    production: Tensor
    loss: Tensor
    pair_loss: Tensor
    hours_share: Tensor
    line_made: Tensor
    line_component: Tensor
    line_needs: Tensor
    line_rivals: Tensor
    line_item: Tensor

    def __init__(self, plant: LotSizing, layout: Layout) -> None:
        super().__init__()
        self.divisible = plant.lot_rule == "up_to_rate"
        self.whole = plant.whole_units
        self.by_pair = layout.changeover_loss is not None
        pairs = np.zeros((0, 0, 0)) if layout.changeover_loss is None else layout.changeover_loss
        idle = ((0, 0), (0, 1))
        for name, values in (
            ("production", np.pad(layout.production, idle)),
            ("loss", np.pad(layout.setup_loss, idle)),
            ("pair_loss", np.pad(pairs, ((0, 0), *idle))),
            ("hours_share", layout.share),
        ):
            self.register_buffer(name, torch.from_numpy(values).to(torch.get_default_dtype()), persistent=False)
        self.always_works = bool((layout.share == 1).all())
        self._register_components(layout)

    def _register_components(self, layout: Layout) -> None:
        """The lines of the bill of materials: what each is for, of what, and which lines share a component."""
        self.consumes = layout.consumption is not None
        used = np.zeros((0, 0)) if layout.consumption is None else layout.consumption
        made, component = used.nonzero()
        items = np.arange(layout.num_items + 1)
        self.register_buffer("line_made", torch.from_numpy(made), persistent=False)
        self.register_buffer("line_component", torch.from_numpy(component), persistent=False)
        for name, values in (
            ("line_needs", used[made, component]),
            ("line_rivals", component[:, None] == component),
            ("line_item", made[:, None] == items),
        ):
            self.register_buffer(name, torch.from_numpy(values).to(torch.get_default_dtype()), persistent=False)

    def of(self, state: LotState, item: Tensor, stage: Stage) -> Float[Tensor, "batch machine"]:
        """Full output [units] of every machine if it makes `item` now; nothing of no item."""
        machine = torch.arange(item.shape[1], device=item.device)
        made = self.production[machine, item]
        if not self.always_works:
            made = made * self.working(stage)
        if self.by_pair:
            lost = self.pair_loss[machine, state.setup, item]
        else:
            lost = self.loss[machine, item] * (item != state.setup)
        return self._rounded((made - lost).clamp_min(0.0))

    def every(self, state: LotState, stage: Stage) -> Float[Tensor, "batch machine item"]:
        """The same of every item [units]; the last column is nothing."""
        machine = torch.arange(self.production.shape[0], device=state.setup.device)
        made = self.production * self.working(stage)[..., None]
        if self.by_pair:
            lost = self.pair_loss[machine, state.setup]
        else:
            items = torch.arange(self.production.shape[1], device=state.setup.device)
            lost = self.loss * (state.setup[..., None] != items)
        return self._rounded((made - lost).clamp_min(0.0))

    def working(self, stage: Stage) -> Float[Tensor, "*batch machine"]:
        """Share of a full period in which the machines work, of a period or of one a row."""
        return self.hours_share[stage % len(self.hours_share)]

    def needs(self, state: LotState, lots: Lots, stage: Stage) -> Float[Tensor, "batch machine line"]:
        """Components that every machine's lot takes [units], line by line of the bill of materials."""
        made = self.of(state, lots.item, stage)
        made = made * lots.share if self.divisible else made
        return made[..., None] * self.line_needs * (lots.item[..., None] == self.line_made)

    def components_left(self, state: LotState, lots: Lots, stage: Stage) -> Float[Tensor, "batch machine line"]:
        """For every line: the share (may exceed 1) of a full lot that the components left by earlier machines allow."""
        taken = self.needs(state, lots, stage)
        before = (taken.cumsum(1) - taken) @ self.line_rivals
        left = state.stock.clamp_min(0.0)[:, None, self.line_component] - before
        full = self.every(state, stage)[..., self.line_made] * self.line_needs
        return torch.where(full > 0, (left.clamp_min(0.0) + ENOUGH) / full.clamp_min(1e-9), torch.inf)

    def short_of(self, free: Float[Tensor, "batch machine line"]) -> Bool[Tensor, "batch machine choice"]:
        """Items of which a full lot lacks components."""
        short: Tensor = ((free < 1).to(self.line_item) @ self.line_item) > 0
        return short

    def most(self, free: Tensor, item: Tensor) -> Float[Tensor, "batch machine"]:
        """Largest share of the full lot of each machine's item that the components allow."""
        return torch.where(item[..., None] == self.line_made, free, torch.inf).amin(2).clamp_max(1.0)

    def rationed(self, state: LotState, lots: Lots, stage: Stage) -> Float[Tensor, "batch machine"]:
        """Shares cut, those that draw on a short component alike, until the components suffice."""
        wanted = self.needs(state, lots, stage).sum(1) @ self.line_rivals
        stock = state.stock.clamp_min(0.0)[:, self.line_component]
        cut = torch.where(wanted > stock, stock / wanted.clamp_min(1e-9), 1.0)
        return lots.share * self.most(cut[:, None], lots.item)

    def overdrawn(self, state: LotState, lots: Lots, stage: Stage) -> Float[Tensor, " batch"]:
        """Components taken beyond what is in stock, relative to the stock."""
        wanted = self.needs(state, lots, stage).sum(1) @ self.line_rivals
        stock = state.stock.clamp_min(0.0)[:, self.line_component]
        return ((wanted - stock) / (1.0 + stock)).clamp_min(0.0).amax(1)

    def _rounded(self, made: Tensor) -> Tensor:
        return (made + 1e-4).floor() if self.whole else made


class LotChoices(Choices[LotState, Lots]):
    """Slot = machine, option = item, the last one idle; with divisible lots a slot for the share follows each.

    Capability, maintenance, minimum runs and component stock are masks; the storage limits are not: they scrap.
    """

    def __init__(self, plant: LotSizing, layout: Layout, output: Output) -> None:
        self.output = output
        self.num_items, self.num_machines = layout.num_items, layout.num_machines
        self.divisible, self.levels = output.divisible, plant.quantity_levels
        self.num_slots = self.num_machines * (2 if self.divisible else 1)
        self.num_options = max(self.num_items + 1, self.levels + 1 if self.divisible else 0)
        self.binds_runs = bool((layout.minimum_run > 1).any())
        self.coupled = output.consumes

    def feasible(
        self, state: LotState, stage: Stage, choice: Int[Tensor, "batch slot"] | None = None
    ) -> Bool[Tensor, "batch slot option"]:
        """Options of every slot; in a plant without components earlier slots do not matter."""
        if choice is None:
            choice = torch.full((state.batch, self.num_slots), self.num_items, device=state.setup.device)
            if self.divisible:
                choice[:, 1::2] = self.levels
        lots = self.decision(choice)
        free = self.output.components_left(state, lots, stage) if self.coupled else None
        items = self._items(state, stage, None if self.divisible else free)
        items = nn.functional.pad(items, (0, self.num_options - items.shape[2]))
        if not self.divisible:
            return items
        most = torch.ones_like(lots.share) if free is None else self.output.most(free, lots.item)
        level = torch.arange(self.num_options, device=items.device)
        shares = (level <= self.levels) & (level <= most[..., None] * self.levels + ENOUGH)
        return torch.stack((items, shares), dim=2).flatten(1, 2)

    def _items(
        self, state: LotState, stage: Stage, free: Float[Tensor, "batch machine line"] | None
    ) -> Bool[Tensor, "batch machine choice"]:
        """Items that every machine may be given, with `free` those whose full lot the components allow; idle last."""
        may = (self.output.production > 0) & (self.output.working(stage) > 0)[..., None]
        if free is not None:
            may = may & ~self.output.short_of(free)
        idle = torch.arange(self.num_items + 1, device=may.device) == self.num_items
        may = (may | idle).expand(state.batch, -1, -1)
        if not self.binds_runs:
            return may
        own = torch.arange(self.num_items + 1, device=may.device) == state.setup[..., None]
        goes_on = may & own & ~idle
        bound = torch.where(goes_on.any(2, keepdim=True), goes_on, idle)
        return torch.where((state.run > 0)[..., None], bound, may)

    def decision(self, choice: Int[Tensor, "batch slot"]) -> Lots:
        """Items, and shares in steps of one over the number of levels; an idle machine's share is zero."""
        like = self.output.production
        if not self.divisible:
            return Lots(choice, like.new_zeros((choice.shape[0], 0)))
        item, level = choice[:, 0::2], choice[:, 1::2]
        share = (level.to(like) / self.levels).clamp_max(1.0)
        return Lots(item.clamp_max(self.num_items), torch.where(item < self.num_items, share, 0.0))

    def choice(self, decision: Lots) -> Int[Tensor, "batch slot"]:
        """The options a decision is made of; shares become the nearest level."""
        if not self.divisible:
            return decision.item
        level = (decision.share * self.levels).round().long()
        return torch.stack((decision.item, level), dim=2).flatten(1)

    def repair(self, state: LotState, decision: Lots, stage: Stage) -> Lots:
        """The decision itself if feasible; see `LotSimulator.repair`."""
        item = self._nearest(decision.item.clamp(0, self.num_items), state, self._items(state, stage, None))
        if self.divisible:
            share = torch.where(item < self.num_items, decision.share.clamp(0.0, 1.0), 0.0)
            return Lots(item, self.output.rationed(state, Lots(item, share), stage) if self.coupled else share)
        # Whether a lot's components are there depends on the lots before it: machine after machine.
        for machine in range(self.num_machines if self.coupled else 0):
            given = self._nearest(item, state, self.feasible(state, stage, item))
            item = torch.where(torch.arange(self.num_machines, device=item.device) <= machine, given, item)
        return Lots(item, decision.share)

    def _nearest(self, item: Tensor, state: LotState, may: Tensor) -> Int[Tensor, "batch machine"]:
        """The item itself if the machine may be given it, else the only one it may go on with, else nothing."""
        allowed = may.gather(2, item[..., None]).squeeze(2)
        goes_on = may.gather(2, state.setup[..., None]).squeeze(2) & ~may[..., -1]
        return torch.where(allowed, item, torch.where(goes_on, state.setup, self.num_items))

    def violation(self, state: LotState, decision: Lots, stage: Stage) -> Float[Tensor, " batch"]:
        """See `LotSimulator.violation`."""
        free = self.output.components_left(state, decision, stage) if self.coupled else None
        may = self._items(state, stage, None if self.divisible else free)
        known = (decision.item >= 0) & (decision.item <= self.num_items)
        allowed = may.gather(2, decision.item.clamp(0, self.num_items)[..., None]).squeeze(2)
        breach = (~(allowed & known)).to(state.stock).amax(1)
        if not self.divisible:
            return breach
        outside = torch.maximum(-decision.share, decision.share - 1.0).clamp_min(0.0).amax(1)
        breach = torch.maximum(breach, outside)
        return torch.maximum(breach, self.output.overdrawn(state, decision, stage)) if self.coupled else breach
