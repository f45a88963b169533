"""What a plant's machines may be given: capability, maintenance, minimum runs, components, hours for a changeover."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.choices import Choices
from models.dynamics import Stage
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.layout import Layout
from models.lot_sizing.lots import ENOUGH, Lots, LotState, Output


class LotChoices(Choices[LotState, Lots]):
    """Slot = lot, machine by machine; option = item, the last one idle; where divisible, its share's slot follows.

    Capability, maintenance, minimum runs, component stock and, with several lots a period, hours for the changeover
    are masks; the storage limits are not: they scrap.
    """

    def __init__(self, plant: LotSizing, layout: Layout, output: Output) -> None:
        self.output = output
        self.num_items, self.num_machines = layout.num_items, layout.num_machines
        self.divisible, self.levels = output.divisible, plant.quantity_levels
        self.num_lots = self.num_machines * output.several
        self.num_slots = self.num_lots * (2 if self.divisible else 1)
        self.num_options = max(self.num_items + 1, self.levels + 1 if self.divisible else 0)
        self.binds_runs = bool((layout.minimum_run > 1).any())
        self.coupled = output.consumes or output.several > 1

    def feasible(
        self, state: LotState, stage: Stage, choice: Int[Tensor, "batch slot"] | None = None
    ) -> Bool[Tensor, "batch slot option"]:
        """Options of every slot; with one lot a period and no components earlier slots do not matter."""
        if choice is None:
            choice = torch.full((state.batch, self.num_slots), self.num_items, device=state.setup.device)
            if self.divisible:
                choice[:, 1::2] = self.levels
        lots = self.decision(choice)
        free = self.output.components_left(state, lots, stage) if self.output.consumes else None
        items = self._items(state, stage, None if self.divisible else free)
        items = self._in_time(items, state, lots, stage)
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

    def _in_time(self, may: Tensor, state: LotState, lots: Lots, stage: Stage) -> Bool[Tensor, "batch lot choice"]:
        """The same for every lot, with the changeovers that still end in the period."""
        several = self.output.several
        if several == 1:
            return may
        return may.repeat_interleave(several, dim=1) & self.output.fitting(state, lots, stage)

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
        may = self._items(state, stage, None)
        item = self._nearest(decision.item.clamp(0, self.num_items), state, may)
        if not self.divisible:
            return Lots(self._with_components(item, state, stage), decision.share)
        share = torch.where(item < self.num_items, decision.share.clamp(0.0, 1.0), 0.0)
        lots = Lots(item, self.output.rationed(state, Lots(item, share), stage) if self.output.consumes else share)
        # Whether a changeover still ends in the period depends on the machine's lots before it: lot after lot.
        for place in range(self.output.several if self.output.several > 1 else 0):
            given = self._nearest(lots.item, state, self._in_time(may, state, lots, stage))
            lots = self._settled(
                lots, given, torch.arange(self.num_lots, device=item.device) % self.output.several <= place
            )
        return lots

    def _with_components(self, item: Tensor, state: LotState, stage: Stage) -> Int[Tensor, "batch lot"]:
        """Whether a full lot's components are there depends on the lots before it: machine after machine."""
        place = torch.arange(self.num_machines, device=item.device)
        for machine in range(self.num_machines if self.output.consumes else 0):
            given = self._nearest(item, state, self.feasible(state, stage, item))
            item = torch.where(place <= machine, given, item)
        return item

    def _settled(self, lots: Lots, given: Tensor, known: Tensor) -> Lots:
        """The lots with `given` where known; what became idle makes nothing."""
        item = torch.where(known, given, lots.item)
        return Lots(item, torch.where(item < self.num_items, lots.share, 0.0))

    def _nearest(self, item: Tensor, state: LotState, may: Tensor) -> Int[Tensor, "batch lot"]:
        """The item itself if the machine may be given it, else the only one it may go on with, else nothing."""
        several = self.output.several
        may = may.repeat_interleave(several, dim=1) if may.shape[1] < self.num_lots else may
        setup = state.setup.repeat_interleave(several, dim=1)
        allowed = may.gather(2, item[..., None]).squeeze(2)
        goes_on = may.gather(2, setup[..., None]).squeeze(2) & ~may[..., -1]
        return torch.where(allowed, item, torch.where(goes_on, setup, self.num_items))

    def violation(self, state: LotState, decision: Lots, stage: Stage) -> Float[Tensor, " batch"]:
        """See `LotSimulator.violation`."""
        free = self.output.components_left(state, decision, stage) if self.output.consumes else None
        may = self._in_time(self._items(state, stage, None if self.divisible else free), state, decision, stage)
        known = (decision.item >= 0) & (decision.item <= self.num_items)
        allowed = may.gather(2, decision.item.clamp(0, self.num_items)[..., None]).squeeze(2)
        breach = (~(allowed & known)).to(state.stock).amax(1)
        if not self.divisible:
            return breach
        outside = torch.maximum(-decision.share, decision.share - 1.0).clamp_min(0.0).amax(1)
        breach = torch.maximum(breach, outside)
        return torch.maximum(breach, self.output.overdrawn(state, decision, stage)) if self.output.consumes else breach
