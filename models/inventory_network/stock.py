"""What happens to goods by themselves: stock on hand grows old, goods under way arrive when chance has it.

Both for all stores and lanes of a network at once.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.inventory_network.columns import add, column, take
from models.inventory_network.layout import Layout


class Ageing(nn.Module):
    """Stock with a shelf life, oldest issued first.

    Ages are kept as cumulative amounts: C_k [units] of a store's stock on hand can be sold for at most k more periods,
    k = 1 … m − 1, the coming one included; the rest is fresh. Issuing D units, oldest first, is then one subtraction
    for all ages, C_k' = (C_k − D)⁺. What is left of C_1 is outdated, and every other amount moves up one place.
    """

    column_store: Tensor
    column_place: Tensor
    next_from: Tensor
    oldest_from: Tensor
    stores: Tensor
    cost: Tensor
    start: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        nodes = layout.nodes[: layout.num_demand]
        stores = [k for k, node in enumerate(nodes) if node.shelf_life is not None]
        ages = np.array([(nodes[k].shelf_life or 1) - 1 for k in stores], dtype=np.int64)
        ends = np.cumsum(ages)
        place = np.repeat(np.arange(len(stores)), ages)
        self.width = int(ages.sum())  # columns of `aging`
        self.active = bool(stores)
        # A column's successor is the next one, and a store's last one is followed by all that is left on hand.
        following = np.arange(1, self.width + 1)
        following[ends[ages > 0] - 1] = self.width + np.flatnonzero(ages > 0)
        oldest = np.where(ages > 0, ends - ages, self.width + np.arange(len(stores)))
        self.layout_of_columns = [(nodes[stores[p]].id, k) for p, age in enumerate(ages) for k in range(1, age + 1)]
        for name, index in (
            ("stores", np.array(stores, dtype=np.int64)),
            ("column_place", place),
            ("column_store", np.array(stores, dtype=np.int64)[place]),
            ("next_from", following),
            ("oldest_from", oldest),
        ):
            self.register_buffer(name, torch.from_numpy(index), persistent=False)
        self.register_buffer("cost", column([nodes[k].outdate_cost for k in stores]), persistent=False)
        self.register_buffer("start", column(_cumulative(layout, stores)), persistent=False)

    def issue(
        self,
        aging: Float[Tensor, "batch age_slot"],
        demand: Float[Tensor, "batch store"],
        left: Float[Tensor, "batch store"],
    ) -> tuple[Float[Tensor, "batch age_slot"], Float[Tensor, "batch perishable"]]:
        """Ages once `demand` has been served and the oldest stock is gone, and what is gone [units].

        `left` is the net inventory of every store after demand, what outdates included.
        """
        aged = (aging - take(demand, self.column_store)).clamp_min(0.0)
        amounts = torch.cat((aged, take(left, self.stores).clamp_min(0.0)), dim=1)
        outdated = take(amounts, self.oldest_from)
        return take(amounts, self.next_from) - take(outdated, self.column_place), outdated


def _cumulative(layout: Layout, stores: list[int]) -> list[float]:
    found: list[float] = []
    for k in stores:
        node = layout.nodes[k]
        for age in range(1, node.shelf_life or 1):
            found.append(sum(node.initial_expiring[:age]))
    return found


class RandomArrivals(nn.Module):
    """Goods on lanes with random lead times.

    Their slots are kept by the latest arrival. At the end of every period one uniform u per lane decides: goods of age
    a land if u < P(L = a | L ≥ a). The lead time of every order then has just the distribution given; where the
    hazard increases with age, orders never cross.
    Source: Kaplan, Management Science 16 (1970); Ehrhardt, Operations Research 32 (1984).
    """

    slots: Tensor
    nodes: Tensor
    lanes: Tensor
    hazard: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        random = [k for k, lane in enumerate(layout.lanes) if lane.random_lead_time is not None]
        self.num_lanes = len(random)  # lanes with random lead times, in document order
        hazards = {k: times.hazard() for k in random if (times := layout.lanes[k].random_lead_time) is not None}
        early: list[tuple[int, int, float]] = []
        for slot, (lane, arrival) in enumerate(
            zip(layout.post_lane.tolist(), layout.post_arrival.tolist(), strict=True)
        ):
            if lane in hazards and arrival > 1:  # the last slot lands in any case, as on every lane
                chance = hazards[lane][int(layout.lead_time[lane]) - arrival]
                if chance > 0:
                    early.append((slot, random.index(lane), chance))
        slots = torch.tensor([slot for slot, _, _ in early], dtype=torch.long)
        self.register_buffer("slots", slots, persistent=False)
        self.register_buffer(
            "nodes", torch.from_numpy(layout.target[layout.post_lane[slots.numpy()]]), persistent=False
        )
        self.register_buffer("lanes", torch.tensor([lane for _, lane, _ in early], dtype=torch.long), persistent=False)
        self.register_buffer("hazard", column([chance for _, _, chance in early]), persistent=False)

    def land(
        self,
        stock: Float[Tensor, "batch node"],
        pipeline: Float[Tensor, "batch post_slot"],
        uniforms: Float[Tensor, "batch random_lane"],
    ) -> tuple[Float[Tensor, "batch node"], Float[Tensor, "batch post_slot"]]:
        """Stock and pipeline once what lands before its latest arrival has landed."""
        landed = take(pipeline, self.slots) * (take(uniforms, self.lanes) < self.hazard)
        return add(stock, self.nodes, landed), add(pipeline, self.slots, -landed)
