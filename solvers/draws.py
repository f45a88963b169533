"""Which scenarios are for training, which for choosing, which for judging: no two purposes share any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.lazy import torch
from solvers.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from torch import Tensor

    from models.dynamics import Simulator

_LANES = {"training": 1, "validation": 2, "rules": 3, "evaluation": 4}


def scenario_seed(seed: int, purpose: str, instance: int = 0) -> int:
    """A generator seed for a purpose: training, validation and evaluation never share a scenario stream.

    Below 2^53, so that every JSON reader holds it exactly. `instance` counts the instances trained on together.
    """
    lane = _LANES[purpose] + len(_LANES) * instance
    return (seed * 2_654_435_761 + lane * 0x9E3779B97F4A7C15) % (1 << 53)


OTHER_DEVICE = (
    "the checkpoint is of another kind of device: from here on scenarios are other ones, and the best policy so far is "
    "judged on those of this device"
)


class Draws:
    """Training and validation scenarios from one explicit generator each, seeds disjoint from evaluation's.

    Every rank draws all of them and keeps its own rows.
    """

    def __init__(
        self,
        simulator: Simulator[Any, Any, Any, Any],
        validation: int,
        fixed: int | None,
        seed: int,
        device: str,
        instance: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        self.simulator, self.ranks, self._seed = simulator, ranks, scenario_seed(seed, "training", instance)
        self.generator = torch.Generator(device).manual_seed(self._seed)
        held_out = torch.Generator(device).manual_seed(scenario_seed(seed, "validation", instance))
        self.validation = self._own(self._draw(validation, held_out))
        self.fixed = None if fixed is None else self._draw(fixed, self.generator)

    def _draw(self, count: int, generator: torch.Generator) -> tuple[Any, Any]:
        return self.simulator.initial(count, generator), self.simulator.sample(count, generator)

    def _own(self, scenarios: tuple[Any, Any]) -> tuple[Any, Any]:
        if self.ranks.alone:
            return scenarios
        part = self.ranks.part(scenarios[0].batch)
        state, noise = (record.rows(part).map(torch.clone) for record in scenarios)
        return state, noise

    def go_on(self, kept: Tensor, steps: int) -> bool:
        """Draw on from where a run of so many steps kept its generator; whether that can be done.

        Kinds of devices have generators of their own. On another kind a stream of this seed and step begins anew.
        """
        kept = kept.cpu()
        if kept.shape == self.generator.get_state().shape:
            self.generator.set_state(kept)
            return True
        self.generator.manual_seed((self._seed + (steps + 1) * 0xD1B54A32D192ED03) % (1 << 53))
        return False

    def share(self, size: int) -> float:
        """This rank's share of a mini-batch."""
        return self.ranks.share(self._size(size))

    def _size(self, size: int) -> int:
        return size if self.fixed is None else min(size, self.fixed[0].batch)

    def rehearsal(self, size: int) -> tuple[Any, Any]:
        """As many scenarios as this rank has of a mini-batch, none of them for training: what a step is recorded on."""
        return self._own(self._draw(self._size(size), torch.Generator(self.generator.device).manual_seed(0)))

    def batch(self, size: int) -> tuple[Any, Any]:
        """This rank's part of a mini-batch: fresh scenarios, or rows of the fixed set."""
        if self.fixed is None:
            return self._own(self._draw(size, self.generator))
        state, noise = self.fixed
        if size >= state.batch:
            return self._own(self.fixed)
        chosen = torch.randperm(state.batch, generator=self.generator, device=self.generator.device)[:size]
        chosen = chosen[self.ranks.part(size)]
        return state.rows(chosen), noise.rows(chosen)
