"""What orders are allowed: lane by lane, by what the supplying node can ship, by the room the receiving node has."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.inventory_network.columns import column, share, straight_through, total
from models.inventory_network.instance import InventoryNetwork, lot_of
from models.inventory_network.layout import Layout

UNLIMITED = 1e12
"""Stands for no limit [units]: finite, because an infinite one turns a zero gradient into NaN."""
NOTHING = 1e-6
"""An order this small [units] is none: it pays no fixed cost."""
ROUNDING = 1e-9
"""Share of an order by which a sum of orders may exceed what is there, and be called rounding."""


class Ordering(nn.Module):
    """The limits on a network's orders: capacities, minimum orders, lots; and the fixed cost of an order.

    Training sees through every jump: what is rounded, dropped or charged once has the gradient of a smooth stand-in,
    while its value is exact (`relaxes` says so in words).
    """

    source: Tensor
    target: Tensor
    lane_capacity: Tensor
    throughput_capacity: Tensor
    storage_capacity: Tensor
    minimum: Tensor
    lot: Tensor
    has_lot: Tensor
    fixed_cost: Tensor
    scale: Tensor

    def __init__(self, net: InventoryNetwork, layout: Layout) -> None:
        super().__init__()
        self.num_nodes, self.num_all_nodes = layout.num_stocking, len(layout.nodes)
        lots = [lot_of(net, lane) for lane in layout.lanes]
        capacities = [_whole(_limit(lane.capacity), lot) for lane, lot in zip(layout.lanes, lots, strict=True)]
        ships = [_limit(node.throughput_capacity) for node in layout.nodes]
        holds = [_limit(node.storage_capacity) for node in layout.nodes[: self.num_nodes]]
        for name, values in (
            ("lane_capacity", capacities),
            ("throughput_capacity", ships),
            ("storage_capacity", holds),
            ("minimum", [lane.minimum_order for lane in layout.lanes]),
            ("lot", [lot or 1.0 for lot in lots]),
            ("fixed_cost", [lane.fixed_order_cost for lane in layout.lanes]),
            ("scale", [max(flow, 1e-3) for flow in layout.lane_flow.tolist()]),
        ):
            self.register_buffer(name, column(values), persistent=False)
        for name, index in (("source", layout.source), ("target", layout.target)):
            self.register_buffer(name, torch.from_numpy(index), persistent=False)
        self.register_buffer("has_lot", torch.tensor([lot > 0 for lot in lots]), persistent=False)
        self.any_lot, self.all_lots = any(lots), all(lots)
        self.any_minimum = any(lane.minimum_order for lane in layout.lanes)
        self.charges_orders = any(lane.fixed_order_cost for lane in layout.lanes)
        self.limits_lanes = any(limit < UNLIMITED for limit in capacities)
        self.limits_storage = any(limit < UNLIMITED for limit in holds)
        limits_suppliers = any(limit < UNLIMITED for limit in ships[self.num_nodes :])
        self.limits_shipping = bool((layout.source < self.num_nodes).any()) or limits_suppliers
        # Whole units and nothing coarser, as small as what is usually ordered.
        units = self.any_lot and not self.any_minimum and all(lane.lot_multiple is None for lane in layout.lanes)
        self.only_units = units and min(layout.lane_flow.tolist()) >= 1.0
        self.relaxes = tuple(self._relaxations())

    def _relaxations(self) -> list[str]:
        found = []
        if self.only_units:
            found.append("orders are not rounded to whole units; they are when judged and served")
        elif self.any_lot:
            found.append("orders are rounded to whole lots; their gradient is that of the order before rounding")
        if self.any_minimum:
            found.append(
                "orders below the minimum are raised to it or dropped; their gradient is that of the order asked for"
            )
        if self.charges_orders:
            found.append(
                "a fixed order cost K is charged in full; its gradient is that of K·q/(q + the lane's mean flow)"
            )
        return found

    def placed(self, orders: Float[Tensor, "batch lane"]) -> Float[Tensor, "batch lane"]:
        """1 for every order that is not zero, else 0; the gradient is that of q/(q + the lane's mean flow)."""
        return straight_through(orders / (orders + self.scale), (orders > NOTHING).to(orders.dtype))

    def repair(
        self,
        asked: Float[Tensor, "batch lane"],
        supply: Float[Tensor, "batch all_nodes"] | None,
        room: Float[Tensor, "batch node"] | None,
        relaxed: bool = False,
    ) -> Float[Tensor, "batch lane"]:
        """Feasible orders near `asked`, themselves if feasible.

        Proposals move to the nearest size allowed and below the lane's capacity; then each receiving node's room and
        each supplying node's goods are shared in proportion to what was asked; then sizes that are no longer allowed
        fall to the next one that is. `supply` and `room` may be missing where nothing limits them. `relaxed` orders
        need not be whole units: whole stock would meet whole demand at the kinks of the cost, where the gradient of
        rounded orders points the wrong way.
        """
        lumpy = (self.any_lot or self.any_minimum) and not (relaxed and self.only_units)
        ask = asked.clamp_min(0.0)
        if lumpy:
            ask = straight_through(ask, self._nearest(ask))
        if self.limits_lanes:
            ask = torch.minimum(ask, self.lane_capacity)
        if room is not None:
            ask = ask * share(ask, self.target, room)
        if supply is not None:
            ask = ask * share(ask, self.source, supply)
        if lumpy:
            ask = straight_through(ask, self._at_most(ask))
        return ask

    def _nearest(self, ask: Tensor) -> Tensor:
        sized = self._lots(ask, (ask / self.lot).round()) if self.any_lot else ask
        return (
            torch.where(ask < self.minimum / 2, 0.0, torch.maximum(sized, self.minimum)) if self.any_minimum else sized
        )

    def _at_most(self, ask: Tensor) -> Tensor:
        # A share of what is there may miss a whole lot, or the minimum, by rounding alone: no lot is dropped for that.
        slack = 1.0 + max(8 * torch.finfo(ask.dtype).eps, ROUNDING)
        sized = self._lots(ask, (ask / self.lot * slack).floor()) if self.any_lot else ask
        return torch.where(sized * slack < self.minimum, 0.0, sized) if self.any_minimum else sized

    def _lots(self, ask: Tensor, lots: Tensor) -> Tensor:
        sized = lots * self.lot
        return sized if self.all_lots else torch.where(self.has_lot, sized, ask)

    def violation(
        self,
        orders: Float[Tensor, "batch lane"],
        supply: Float[Tensor, "batch all_nodes"],
        room: Float[Tensor, "batch node"] | None,
    ) -> Float[Tensor, " batch"]:
        """Largest breach of any limit [units]; 0 is feasible."""
        shipped = total(orders, self.source, self.num_all_nodes)
        worst = torch.maximum((-orders).amax(1), _above(orders, self.lane_capacity))
        worst = torch.maximum(worst, _above(shipped, supply))
        if room is not None:
            received = total(orders, self.target, self.num_nodes)
            # A node may start above its capacity; then it must merely receive nothing.
            worst = torch.maximum(worst, _above(received, room))
        if self.any_lot:
            off = orders - self._lots(orders, (orders / self.lot).round())
            worst = torch.maximum(worst, off.abs().amax(1))
        if self.any_minimum:
            worst = torch.maximum(worst, torch.minimum(orders, self.minimum - orders).amax(1))
        return worst.clamp_min(0.0)


def _above(values: Tensor, limit: Tensor) -> Tensor:
    """The most by which any column exceeds its limit."""
    return torch.where(limit < UNLIMITED, values - limit, 0.0).amax(1)


def _limit(limit: float | None) -> float:
    return UNLIMITED if limit is None else limit


def _whole(limit: float, lot: float) -> float:
    """The largest whole number of lots within a limit."""
    return math.floor(limit / lot * (1 + 1e-12)) * lot if lot and limit < UNLIMITED else limit
