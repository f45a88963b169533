"""State and decision, and how much machines make: hours' production, less changeovers, as far as components go."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.dynamics import Stage, Tensors
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout

ENOUGH = 1e-4  # how far components may miss what a lot needs, relative [–]: rounding
HARDLY = 1e-6  # share of a period that is none: rounding


@dataclass(frozen=True)
class LotState(Tensors):
    """What is known before deciding."""

    stock: Float[Tensor, "batch item"]  # [units], net of backlog
    setup: Int[Tensor, "batch machine"]  # item each machine is set up for, I: none
    run: Int[Tensor, "batch bound"]  # periods it must still make that item; no column unless runs have a minimum


@dataclass(frozen=True)
class Lots(Tensors):
    """The decision: what every machine makes."""

    item: Int[Tensor, "batch lot"]  # I: nothing; machine by machine, a machine's lots of the period in their order
    share: Float[Tensor, "batch share"]  # of its full output, 0 … 1; no column where it is all or nothing


@dataclass(frozen=True)
class Course(Tensors):
    """What becomes of the machines in a period, lot after lot."""

    before: Int[Tensor, "batch lot"]  # item each lot finds its machine set up for, I: none
    left: Float[Tensor, "batch lot"]  # share of a full period each lot finds left
    made: Float[Tensor, "batch lot"]  # [units]
    last: Int[Tensor, "batch machine"]  # item of the last lot, I: the machine idled


class Output(nn.Module):
    """Full output of a machine: its hours' production, less what a changeover loses."""

    production: Tensor
    loss: Tensor
    pair_loss: Tensor
    hours_share: Tensor
    pace: Tensor
    line_made: Tensor
    line_component: Tensor
    line_needs: Tensor
    line_rivals: Tensor
    line_item: Tensor

    def __init__(self, plant: LotSizing, layout: Layout) -> None:
        super().__init__()
        self.divisible = plant.lot_rule == "up_to_rate"
        self.whole = plant.whole_units
        self.several = plant.lots_per_period
        self.by_pair = layout.changeover_loss is not None
        pairs = np.zeros((0, 0, 0)) if layout.changeover_loss is None else layout.changeover_loss
        idle = ((0, 0), (0, 1))
        for name, values in (
            ("production", np.pad(layout.production, idle)),
            ("loss", np.pad(layout.setup_loss, idle)),
            ("pair_loss", np.pad(pairs, ((0, 0), *idle))),
            ("hours_share", layout.share),
            ("pace", np.pad(np.divide(1, layout.production, where=layout.can_make, out=0 * layout.production), idle)),
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

    def course(self, state: LotState, lots: Lots, stage: Stage) -> Course:
        """A period in which every machine makes its lots one after the other, in the hours the earlier ones left."""
        if self.several == 1:
            made = self.of(state, lots.item, stage)
            made = made * lots.share if self.divisible else made
            return Course(state.setup, self.working(stage).expand(len(made), -1), made, lots.item)
        machines = state.setup.shape[1]
        items, shares = (own.view(-1, machines, self.several) for own in (lots.item, lots.share))
        before, left = state.setup, self.working(stage).expand(len(items), -1)
        last, machine = (
            torch.full_like(before, self.production.shape[1] - 1),
            torch.arange(machines, device=before.device),
        )
        steps = []
        for item, share in zip(items.unbind(2), shares.unbind(2), strict=True):
            ready = (left - self._changeover_time(before, item)).clamp_min(0.0)
            made = self.production[machine, item] * ready * share
            steps.append((before, left, made))
            left = torch.where(item < self.production.shape[1] - 1, ready * (1.0 - share), left)
            before, last = (torch.where(item < self.production.shape[1] - 1, item, own) for own in (before, last))
        befores, lefts, mades = (torch.stack(own, dim=2).flatten(1) for own in zip(*steps, strict=True))
        return Course(befores, lefts, mades, last)

    def _changeover_time(self, before: Tensor, item: Tensor) -> Float[Tensor, "batch machine"]:
        """Share of a full period that a changeover takes; nothing to go on or idle."""
        machine = torch.arange(item.shape[1], device=item.device)
        if self.by_pair:
            return self.pair_loss[machine, before, item] * self.pace[machine, item]
        return self.loss[machine, item] * (item != before) * self.pace[machine, item]

    def fitting(self, state: LotState, lots: Lots, stage: Stage) -> Bool[Tensor, "batch lot choice"]:
        """Items whose changeover ends in the hours that each lot finds left; of several lots a period only."""
        course = self.course(state, lots, stage)
        machine = torch.arange(state.setup.shape[1], device=state.setup.device).repeat_interleave(self.several)
        if self.by_pair:
            takes = self.pair_loss[machine, course.before] * self.pace[machine]
        else:
            items = torch.arange(self.production.shape[1], device=machine.device)
            takes = (self.loss * self.pace)[machine] * (course.before[..., None] != items)
        return takes <= course.left[..., None] + HARDLY

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
        cycle = len(self.hours_share)
        return self.hours_share[0] if cycle == 1 else self.hours_share[stage % cycle]

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
