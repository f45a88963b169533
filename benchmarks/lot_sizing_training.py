"""How fast lot sizing is simulated, trained and decided, beside a well-kept library's masked PPO on the same simulator.

    OMP_NUM_THREADS=1 python -m benchmarks.lot_sizing_training [--device cuda] [--write FILE]

One thread; fifteen items on five machines. The library is sb3-contrib's MaskablePPO (`pip install 'herenow[compare]'`;
left out where it is not installed), given our features and masks. Once it steps our simulator in a batch of 128 with
PDPPO's sizes (two networks of two layers of 128, 32 stages a rollout, four epochs of four minibatches), once in the
same batch with its own way of learning (ten epochs of minibatches of 64), once as it comes: one scenario at a time and
its defaults throughout. Rates are
stages of one scenario per second of the process's CPU time (of the clock on a GPU), medians of several rounds.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.registry import problem
from solvers.core import TrainRequest
from solvers.pdppo import Learner, PDPPOConfig, build, resolve_family

LOT_SIZING = problem("lot_sizing")
BATCHED = {"n_steps": 32}  # else the library's defaults
EXAMPLE = "workshop-15x5"
ROUNDS = 5
SIZES = {
    "n_steps": 32,
    "batch_size": 1024,
    "n_epochs": 4,
    "learning_rate": 1e-3,
    "gamma": 0.99,
    "ent_coef": 0.02,
    "policy_kwargs": {"net_arch": {"pi": [128, 128], "vf": [128, 128]}},
}


def plant() -> Any:
    """The instance."""
    example = next(example for example in LOT_SIZING.examples if example.name == EXAMPLE)
    return LOT_SIZING.parse(example.document())


def rate(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Median of the units a second that `work` does, after one round that does not count."""
    work()
    found = []
    for _ in range(ROUNDS):
        started = clock()
        units = work()
        found.append(units / (clock() - started))
    return statistics.median(found)


def simulator_rate(scenarios: int, clock: Callable[[], float], device: str) -> float:
    """Stages simulated a second with random choices, drawn beforehand."""
    simulator = LOT_SIZING.simulator(plant(), counts=False).to(device)
    generator = torch.Generator(device).manual_seed(0)
    state = simulator.initial(scenarios, generator)
    weights = simulator.choices.feasible(state, 0).float().flatten(0, 1)
    chosen = torch.multinomial(weights, 50, replacement=True, generator=generator)
    choices = chosen.view(scenarios, simulator.choices.num_slots, 50)

    def work() -> int:
        own, noise = state, simulator.sample(scenarios, generator)
        for stage in range(50):
            post, _ = simulator.decide(own, simulator.choices.decision(choices[:, :, stage]), stage)
            own, _ = simulator.realize(post, noise, stage)
        own.stock.sum().item()
        return scenarios * 50

    with torch.no_grad():
        return rate(work, clock)


def training_rate(clock: Callable[[], float], device: str, **config: Any) -> float:
    """Stages learned from a second by PDPPO."""
    settings = PDPPOConfig(**config, iterations=1000, validation_scenarios=1)
    instance = plant()
    family = resolve_family(LOT_SIZING, instance, settings)
    learner = Learner(TrainRequest(LOT_SIZING, instance, settings, 1, device), settings, family)

    def work() -> int:
        learner.iterate(1, lambda: None)  # type: ignore[arg-type]
        return settings.scenarios * settings.stages

    return rate(work, clock)


def decision_seconds(**config: Any) -> float:
    """Seconds of one decision in process, median."""
    settings, instance = PDPPOConfig(**config), plant()
    policy = build(LOT_SIZING, instance, settings, resolve_family(LOT_SIZING, instance, settings))
    state = LOT_SIZING.simulator(instance).initial(1, torch.Generator().manual_seed(0))
    found = []
    with torch.inference_mode():
        for _ in range(300):
            started = time.perf_counter()
            policy(state, 3)
            found.append(time.perf_counter() - started)
    return statistics.median(found[50:])


def library_rate(clock: Callable[[], float], rows: int, sizes: dict[str, Any]) -> float | None:
    """Stages learned from a second by the library's masked PPO; None if it is not installed."""
    try:
        from sb3_contrib import MaskablePPO
    except ImportError:
        return None
    learner = MaskablePPO("MlpPolicy", wrapped(rows), device="cpu", seed=1, **sizes)
    steps = 2048 if rows == 1 else 4096

    def work() -> int:
        learner.learn(steps, reset_num_timesteps=False)
        return steps

    return rate(work, clock)


def wrapped(rows: int) -> Any:
    """Our simulator as the library wants it: `rows` scenarios stepped together, restarted at the horizon."""
    from gymnasium import spaces
    from stable_baselines3.common.vec_env import VecEnv

    from models.lot_sizing.encoder import LotEncoder

    simulator = LOT_SIZING.simulator(plant(), counts=False)
    encoder, choices = LotEncoder(simulator), simulator.choices
    generator = torch.Generator().manual_seed(0)

    class Wrapped(VecEnv):  # type: ignore[misc]
        """The library's interface; costs are negated."""

        def __init__(self) -> None:
            observed = spaces.Box(-np.inf, np.inf, (encoder.size,), np.float32)
            super().__init__(rows, observed, spaces.MultiDiscrete([choices.num_options] * choices.num_slots))
            self.reset()

        def reset(self) -> np.ndarray:
            self.stage = 0
            self.state = simulator.initial(rows, generator)
            self.noise = simulator.sample(rows, generator)
            return self._seen()

        def _seen(self) -> np.ndarray:
            seen: np.ndarray = encoder(self.state, self.stage).numpy()
            return seen

        def step_async(self, actions: np.ndarray) -> None:
            self.chosen = torch.from_numpy(actions)

        def step_wait(self) -> Any:
            post, decided = simulator.decide(self.state, choices.decision(self.chosen), self.stage)
            self.state, realized = simulator.realize(post, self.noise, self.stage)
            self.stage += 1
            earned = -(decided.total + realized.total).numpy() / 100
            over = self.stage == simulator.num_stages
            told: list[dict[str, Any]] = [{} for _ in range(rows)]
            seen = self._seen()
            if over:
                told = [{"terminal_observation": row} for row in seen]
                seen = self.reset()
            return seen, earned, np.full(rows, over), told

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            assert method_name == "action_masks"
            return list(choices.feasible(self.state, self.stage).flatten(1).numpy())

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            if attr_name not in ("action_masks", "render_mode"):
                raise AttributeError(attr_name)
            return [None] * rows

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise AttributeError(attr_name)

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * rows

        def close(self) -> None:
            pass

    return Wrapped()


def beside_the_library(own: float, plain: float) -> Iterator[str]:
    """Rows of the library in its uses, with what PDPPO and PPO are over it."""
    for rows, sizes, label in (
        (128, SIZES, "our simulator in a batch, our sizes"),
        (128, BATCHED, "our simulator in a batch, its epochs and minibatches"),
        (1, {}, "one scenario at a time, defaults"),
    ):
        library = library_rate(time.process_time, rows, sizes)
        if library is not None:
            ratios = f"PDPPO {own / library:.1f} ×, PPO {plain / library:.1f} ×"
            yield f"| sb3-contrib MaskablePPO, {label} | {library:,.0f} ({ratios}) |"


def lines(device: str) -> Iterator[str]:
    """The table, row by row."""
    where = torch.cuda.get_device_name() if device == "cuda" else f"one CPU thread ({platform.machine()})"
    yield f"| on {where} | stages a second |"
    yield "|---|---|"
    clock = time.perf_counter if device == "cuda" else time.process_time
    for scenarios in (4096, 65_536) if device == "cuda" else (4096,):
        yield f"| simulator, {scenarios:,} scenarios | {simulator_rate(scenarios, clock, device):,.0f} |"
    sizes: tuple[dict[str, Any], ...] = ({},)
    if device == "cuda":
        sizes = tuple({"scenarios": n, "minibatches": max(n // 1024, 4)} for n in (128, 1024, 4096, 16_384))
    for size in sizes:
        for family in ("mlp", "sequential"):
            own = training_rate(clock, device, family=family, **size)
            yield f"| PDPPO `{family}`, {size.get('scenarios', 128):,} scenarios | {own:,.0f} |"
            plain = training_rate(clock, device, family=family, advantage="plain", **size)
            yield f"| PPO in the same file, `{family}`, {size.get('scenarios', 128):,} scenarios | {plain:,.0f} |"
            if device == "cpu" and family == "mlp":
                yield from beside_the_library(own, plain)
    if device == "cpu":
        for label, config in (
            ("`mlp`", {"family": "mlp"}),
            ("`sequential`", {"family": "sequential"}),
            ("`sequential`, improved once", {"family": "sequential", "sweeps": 1}),
        ):
            yield f"| one decision in process, {label} | {1000 * decision_seconds(**config):.2f} ms |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--write", type=Path, help="write the table to a file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for line in lines(arguments.device):
        print(line, flush=True)
        found.append(line)
    if arguments.write:
        arguments.write.write_text(HEAD + "\n".join(found) + "\n")


HEAD = """# Lot sizing: speed of training

Made by `python -m benchmarks.lot_sizing_training`; what is measured is said there.

"""

if __name__ == "__main__":
    main()
