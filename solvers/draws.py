"""Which scenarios are for training, which for choosing, which for judging: no two purposes share any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.lazy import torch

if TYPE_CHECKING:
    from models.dynamics import Simulator

_LANES = {"training": 1, "validation": 2, "rules": 3, "evaluation": 4}


def scenario_seed(seed: int, purpose: str, instance: int = 0) -> int:
    """A generator seed for a purpose: training, validation and evaluation never share a scenario stream.

    Below 2^53, so that every JSON reader holds it exactly. `instance` counts the instances trained on together.
    """
    lane = _LANES[purpose] + len(_LANES) * instance
    return (seed * 2_654_435_761 + lane * 0x9E3779B97F4A7C15) % (1 << 53)


class Draws:
    """Training and validation scenarios from one explicit generator each, seeds disjoint from evaluation's."""

    def __init__(
        self,
        simulator: Simulator[Any, Any, Any, Any],
        validation: int,
        fixed: int | None,
        seed: int,
        device: str,
        instance: int = 0,
    ) -> None:
        self.simulator = simulator
        self.generator = torch.Generator(device).manual_seed(scenario_seed(seed, "training", instance))
        held_out = torch.Generator(device).manual_seed(scenario_seed(seed, "validation", instance))
        self.validation = self._draw(validation, held_out)
        self.fixed = None if fixed is None else self._draw(fixed, self.generator)

    def _draw(self, count: int, generator: torch.Generator) -> tuple[Any, Any]:
        return self.simulator.initial(count, generator), self.simulator.sample(count, generator)

    def rehearsal(self, size: int) -> tuple[Any, Any]:
        """As many scenarios as a mini-batch has, none of them for training: what a step is recorded on."""
        size = size if self.fixed is None else min(size, self.fixed[0].batch)
        return self._draw(size, torch.Generator(self.generator.device).manual_seed(0))

    def batch(self, size: int) -> tuple[Any, Any]:
        """A mini-batch: fresh scenarios, or rows of the fixed set."""
        if self.fixed is None:
            return self._draw(size, self.generator)
        state, noise = self.fixed
        if size >= state.batch:
            return self.fixed
        chosen = torch.randperm(state.batch, generator=self.generator, device=self.generator.device)[:size]
        return state.rows(chosen), noise.rows(chosen)
