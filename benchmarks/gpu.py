"""HDPO's training step on a GPU: launched kernel by kernel, recorded, in half the bits, beside what the card can do.

    python -m benchmarks.gpu [--compile] [--write docs/speed.md]

Every step is the solver's own (fresh scenarios, the horizon there and back, clip, Adam). Before anything is timed the
recorded step's cost and gradients are held to those of the step launched kernel by kernel, and these to a CPU's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed import PERIODS, WIDTH, ByteCounter, document
from models.inventory_network import PROBLEM
from solvers.core import TrainRequest
from solvers.hdpo import HDPOConfig, Lesson

BEGIN, END = "<!-- begin: benchmarks.gpu -->", "<!-- end: benchmarks.gpu -->"
CASES = (  # family, stores, batch
    ("mlp", 1, 8192),
    ("mlp", 1, 65536),
    ("gnn", 10, 1024),
    ("gnn", 10, 16384),
    ("gnn", 100, 2048),
    ("gnn", 1000, 256),
)
Step = Callable[[], Any]


def lesson(family: str, stores: int, batch: int, device: str = "cuda", **config: Any) -> Lesson:
    """What the solver trains on, measured once so that its loss has a unit."""
    settings = HDPOConfig(family=family, width=WIDTH, batch_size=batch, validation_scenarios=min(batch, 256), **config)
    net = PROBLEM.parse(document(stores))
    torch.manual_seed(1)
    found = Lesson(TrainRequest(PROBLEM, net, settings, seed=1, device=device), settings, family, 0)
    found.begin({})
    return found


def step_of(learned: Lesson) -> Step:
    """A whole training step."""
    optimizer = torch.optim.Adam(learned.policy.parameters(), lr=1e-3)

    def step() -> None:
        learned.learn()
        torch.nn.utils.clip_grad_norm_(learned.policy.parameters(), 1.0)
        optimizer.step()

    return step


def seconds(step: Step) -> float:
    """Median of several steps, after three that warm up."""
    for _ in range(3):
        step()
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < 1.5 and len(taken) < 100):
        torch.cuda.synchronize()
        started = time.perf_counter()
        step()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def differences(family: str, stores: int, batch: int) -> tuple[float, float, float]:
    """Relative distance of the gradients: recorded from launched, GPU from CPU, bfloat16 from float32."""
    launched, half = lesson(family, stores, batch), lesson(family, stores, batch, precision="bfloat16")
    host = lesson(family, stores, batch, device="cpu")
    for other in (half, host):
        other.policy.load_state_dict(launched.policy.state_dict())
        other.unit = launched.unit
    scenarios = host.draws.batch(batch)
    there = tuple(part.to("cuda") for part in scenarios)
    exact = _gradient(launched, there)
    ours = _gradient(host, scenarios).to(exact)
    low = _gradient(half, there)
    launched.record()
    assert launched.recorded is not None
    launched.recorded(*there)
    replayed = _flat(launched)
    return _distance(replayed, exact), _distance(exact, ours), _distance(low, exact)


def _stores(count: int) -> str:
    return "one store" if count == 1 else f"{count:,} stores"


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def _gradient(learned: Lesson, scenarios: tuple[Any, Any]) -> torch.Tensor:
    learned.policy.zero_grad(set_to_none=True)
    torch.autograd.backward(learned.loss(learned.attempt(*scenarios)))
    return _flat(learned)


def _flat(learned: Lesson) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in learned.policy.parameters() if p.grad is not None])


def peak() -> dict[str, float]:
    """What the card does at most: float32 and bfloat16 products [flop/s], a copy [bytes/s], both ways counted."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left, right = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
        found[name] = 2 * 8192**3 / seconds(lambda a=left, b=right: a @ b)  # type: ignore[misc]
    large = torch.randn(2**29, device="cuda")
    other = torch.empty_like(large)
    found["bytes"] = 2 * large.nbytes / seconds(lambda: other.copy_(large))
    return found


def counted(learned: Lesson) -> tuple[float, float]:
    """Operations of the matrix products of a step, and bytes that all its operations read and write."""
    step = step_of(learned)
    step()
    with FlopCounterMode(display=False) as arithmetic:
        step()
    with ByteCounter() as traffic:
        step()
    return float(arithmetic.get_total_flops()), float(traffic.moved)


def report(with_compiler: bool) -> Iterator[str]:
    """Every table, line by line."""
    most = peak()
    products = f"{most['float32'] / 1e12:.0f} Tflop/s float32, {most['bfloat16'] / 1e12:.0f} bfloat16 (products)"
    copies = f"{most['bytes'] / 1e12:.2f} TB/s (copy)"
    yield f"Card: {torch.cuda.get_device_name()}, {products}, {copies}; torch {torch.__version__}."
    yield ""
    for family, stores in (("mlp", 1), ("gnn", 10)):
        replay, host, half = differences(family, stores, 256)
        yield (
            f"Gradients of `{family}`, {_stores(stores)}, {PERIODS} periods: recorded from launched {replay:.1e}, "
            f"GPU from CPU {host:.1e}, bfloat16 from float32 {half:.1e}."
        )
    yield ""
    yield (
        "| network | batch | launched | recorded | recorded, bfloat16 | recorded / launched | limit by bytes "
        "| recorded / limit | memory |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for family, stores, batch in CASES:
        yield row(family, stores, batch, most)
    if with_compiler:
        yield ""
        yield compiled()


def row(family: str, stores: int, batch: int, most: dict[str, float]) -> str:
    """One network at one batch, three ways."""
    units = stores * batch * PERIODS
    launched = lesson(family, stores, batch)
    _, moved = counted(launched)
    slow = units / seconds(step_of(launched))
    del launched
    rates = {}
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for precision in ("float32", "bfloat16"):
        recorded = lesson(family, stores, batch, precision=precision)
        recorded.record()
        rates[precision] = units / seconds(step_of(recorded))
        if precision == "float32":
            memory = torch.cuda.max_memory_reserved() / 2**30
        del recorded
        torch.cuda.empty_cache()
    limit = units * most["bytes"] / moved
    name = f"{_stores(stores)}, {family}"
    return (
        f"| {name} | {batch:,} | {slow:.2e} | {rates['float32']:.2e} | {rates['bfloat16']:.2e} "
        f"| {rates['float32'] / slow:.1f} | {limit:.2e} | {rates['float32'] / limit:.2f} | {memory:.1f} GiB |"
    )


def compiled() -> str:
    """What `torch.compile` gives where a period, policy and dynamics together, is compiled."""
    from benchmarks.speed import Case, compiled_step

    case = Case(10, "gnn", 1024)
    step = compiled_step(case, "cuda")
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    rate = case.units / seconds(step)
    return f"A period under `torch.compile`, 10 stores, gnn, batch 1,024: {rate:.2e} after {first:.0f} s of compiling."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page whose tables to replace")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (a minute)")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing to measure")
    lines = []
    for line in report(arguments.compile):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        before, rest = arguments.write.read_text().split(BEGIN)
        arguments.write.write_text("\n".join((before + BEGIN, *lines, END + rest.split(END)[1])))


if __name__ == "__main__":
    main()
