"""What networks see of a plant: stock against its limits and against demand, setups, runs, hours, and the calendar."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.dynamics import Encoder, FeatureName, Stage
from models.lot_sizing.lots import LotState
from models.lot_sizing.simulator import LotPostState, LotSimulator

COVER = 2.0  # stock is seen through exp(−stock / (COVER · mean demand)): fine where it runs out, coarse above
NEAR_END = (2.0, 8.0)  # periods over which the end of the horizon makes itself felt
LOOKAHEAD = 4  # periods of expected demand that are seen, where it changes


@dataclass(frozen=True)
class SeenState(LotState):
    """A state with its features."""

    features: Float[Tensor, "batch feature"]


@dataclass(frozen=True)
class SeenPost(LotPostState):
    """A post-decision state with its features."""

    features: Float[Tensor, "batch feature"]


class LotEncoder(Encoder):
    """State or post-decision state → features of order one; the setups as zeros and ones.

    An item: stock over its limit (or over ten periods' demand), from −1 to 1, and how near it is to running out; where
    demand changes, that expected over the next periods. A machine: the item it is set up for, or none; periods left of
    a minimum run; hours at work this period and the next. The calendar: what is left of the horizon.
    """

    top: Tensor
    mean: Tensor
    expected: Tensor
    minimum_run: Tensor
    hours: Tensor
    shares: Tensor

    def __init__(self, simulator: LotSimulator) -> None:
        super().__init__()
        layout, means = simulator.layout, simulator.tables.means
        self.num_items, self.num_stages = layout.num_items, simulator.num_stages
        self.ids = simulator.places
        self.machine_ids = tuple(machine.id for machine in simulator.plant.machines)
        mean = np.maximum(means.mean(0), 1e-3)
        top = np.where(np.isinf(layout.inventory_max), 10 * mean, np.maximum(layout.inventory_max, 1.0))
        self.changes = not simulator.tables.stationary
        self.binds_runs, self.works = simulator.binds_runs, not simulator.output.always_works
        for name, values in (
            ("top", top),
            ("mean", mean),
            ("expected", means / mean),
            ("minimum_run", layout.minimum_run),
            ("shares", layout.share),
        ):
            self.register_buffer(name, torch.from_numpy(values).to(torch.get_default_dtype()), persistent=False)
        self.item_size = 2 + (LOOKAHEAD if self.changes else 0)
        self.machine_size = self.num_items + 1 + self.binds_runs + 2 * self.works
        self.calendar_size = 1 + len(NEAR_END)
        self.size = self.num_items * self.item_size + len(self.machine_ids) * self.machine_size + self.calendar_size

    def forward(self, state: LotState | LotPostState, stage: Stage) -> Float[Tensor, "batch feature"]:
        """All features side by side: items, machines, calendar; those that are there already if they are."""
        if isinstance(state, SeenState | SeenPost):
            return state.features
        items, machines = self._items(state, stage), self._machines(state, stage)
        return torch.cat((items.flatten(1), machines.flatten(1), self._calendar(state, stage)), 1)

    def seen_state(self, state: LotState, stage: Stage) -> SeenState:
        """The states with their features."""
        return SeenState(state.stock, state.setup, state.run, self(state, stage))

    def seen_post(self, post: LotPostState, stage: Stage) -> SeenPost:
        """The post-decision states with their features."""
        return SeenPost(post.stock, post.setup, post.run, self(post, stage))

    def names(self) -> list[FeatureName]:
        """Words for the features a planner can act on, in the order of `forward`."""
        found: list[FeatureName] = []
        tops, means = self.top.tolist(), self.mean.tolist()
        for item, top, mean in zip(self.ids, tops, means, strict=True):
            found += [FeatureName(f"half the stock of {item} above the middle of its limit", top / 2)]
            found += [FeatureName(f"nearness of {item} to running out")]
            later = range(LOOKAHEAD if self.changes else 0)
            found += [FeatureName(f"expected demand of {item} in {ahead} periods", mean) for ahead in later]
        for machine in self.machine_ids:
            found += [FeatureName(f"{machine} set up for {item}") for item in (*self.ids, "nothing")]
            found += [FeatureName(f"periods {machine} is bound to its item over its minimum run")] * self.binds_runs
            found += [FeatureName(f"hours of {machine} over a full period's")] * (2 * self.works)
        found += [FeatureName("share of the horizon left")]
        return found + [FeatureName("nearness of the horizon's end") for _ in NEAR_END]

    def _items(self, state: LotState | LotPostState, stage: Stage) -> Float[Tensor, "batch item feature"]:
        level = state.stock / self.top * 2 - 1
        out = torch.exp((state.stock / (-COVER * self.mean)).clamp_max(1.0))
        columns = [level, out]
        if self.changes:
            columns += [self._at(self.expected, state.stock, stage, ahead) for ahead in range(LOOKAHEAD)]
        return torch.stack(columns, 2)

    def _machines(self, state: LotState | LotPostState, stage: Stage) -> Float[Tensor, "batch machine feature"]:
        setup = nn.functional.one_hot(state.setup, self.num_items + 1).to(state.stock.dtype)
        if not self.binds_runs and not self.works:
            return setup
        columns = [setup]
        if self.binds_runs:
            columns.append((state.run / self.minimum_run)[..., None])
        if self.works:
            columns += [self._at(self.shares, setup[..., 0], stage, ahead)[..., None] for ahead in range(2)]
        return torch.cat(columns, 2)

    def _at(self, table: Tensor, like: Tensor, stage: Stage, ahead: int) -> Tensor:
        """A row of a table that repeats, for every row of the batch."""
        return table[(torch.as_tensor(stage, device=table.device) + ahead) % len(table)].expand_as(like)

    def _calendar(self, state: LotState | LotPostState, stage: Stage) -> Float[Tensor, "batch feature"]:
        if not isinstance(stage, Tensor):
            left = self.num_stages - stage
            row = [left / self.num_stages, *(math.exp(-left / span) for span in NEAR_END)]
            return state.stock.new_tensor(row).expand(state.stock.shape[0], -1)
        remains = (self.num_stages - stage).to(state.stock.dtype)
        return torch.stack((remains / self.num_stages, *(torch.exp(-remains / span) for span in NEAR_END)), 1)
