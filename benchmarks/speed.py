"""Speed and memory of training, beside a plain loop of the same networks and beside what this machine can do at most.

    OMP_NUM_THREADS=1 python -m benchmarks.speed [--compile] [--write docs/speed.md]

One thread. Every figure comes from a process of its own: sample·store·periods per CPU-second of whole training steps
(scenarios, forward, backward, Adam), the median of several, and the growth of the process's memory over its size
before the first step. The plain loop is `benchmarks.reference_loop`. A few CPU-minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference_loop
from models.core import NetworkSize
from models.inventory_network import PROBLEM
from models.inventory_network.examples import one_store_lost, warehouse_stores
from solvers.rollout import roll_out

WIDTH = 24
ROUNDS = 3  # processes of each side, in turn; the fastest of each is the least disturbed by what else the machine does
PERIODS = 50
BEGIN, END = "<!-- begin: benchmarks.speed -->", "<!-- end: benchmarks.speed -->"


@dataclass(frozen=True)
class Case:
    """A network to train on: by a family of ours at `WIDTH`, by the plain loop with the public code's layers."""

    stores: int
    family: str
    batch: int
    hidden: tuple[int, ...] = ()  # layers of the plain loop's perceptrons
    published: float = 0.0  # sample·store·periods per CPU-second of the public code
    checkpoint_every: int = 0  # periods between the states kept for the gradient

    @property
    def units(self) -> int:
        """Sample·store·periods of a step."""
        return self.stores * self.batch * PERIODS


CASES = {
    "one store, MLP": Case(1, "mlp", 8192, (32, 32, 32), 8.8e5),
    "warehouse + 3 stores, MLP": Case(3, "mlp", 1024, (512, 512, 512), 5.7e4),
    "warehouse + 3 stores, GNN": Case(3, "gnn", 1024, (32, 32), 7.3e4),
    "warehouse + 10 stores, GNN": Case(10, "gnn", 1024, (32, 32), 8.7e4),
}
SIZES = {10: 512, 30: 256, 100: 128, 300: 64, 1000: 32}  # stores: batch
THOUSAND = (1000, 128)


def document(stores: int) -> dict[str, Any]:
    """The network with that many stores, over `PERIODS` periods."""
    found = one_store_lost() if stores == 1 else warehouse_stores(stores)
    return found | {"periods": PERIODS, "warmup_periods": 30}


Step = Callable[[], Any]


def our_step(case: Case, device: str = "cpu") -> Step:
    """A training step as `solvers.hdpo` takes it: fresh scenarios, the horizon there and back, Adam."""
    net, batch = PROBLEM.parse(document(case.stores)), case.batch
    simulator = PROBLEM.simulator(net, counts=False).to(device)
    policy = PROBLEM.family(case.family).build(net, simulator, NetworkSize(WIDTH, 2)).to(device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    generator = torch.Generator(device).manual_seed(1)

    def step() -> None:
        start, noise = simulator.initial(batch, generator), simulator.sample(batch, generator)
        cost = roll_out(simulator, policy, start, noise, case.checkpoint_every).cost
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(cost / case.stores)
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

    return step


def compiled_step(case: Case, device: str = "cpu") -> Step:
    """The step with one period, policy and dynamics together, compiled by `torch.compile`; needs a C++ compiler."""
    net, batch = PROBLEM.parse(document(case.stores)), case.batch
    simulator = PROBLEM.simulator(net, counts=False)
    policy = PROBLEM.family("gnn").build(net, simulator, NetworkSize(WIDTH, 2)).to(device)
    simulator.to(device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    generator = torch.Generator(device).manual_seed(1)

    @torch.compile(dynamic=False)
    def period(state: Any, demand: Any, known: Any) -> tuple[Any, torch.Tensor]:
        orders = simulator.repair(state, policy._ask(state, known), 0)
        post, first = simulator.decide(state, orders, 0)
        following, second = simulator.realize(post, demand, 0)
        return following, first.total.mean() + second.total.mean() if first.components else second.total.mean()

    def step() -> None:
        state, noise = simulator.initial(batch, generator), simulator.sample(batch, generator)
        known, cost = policy.constants(torch.zeros(1, device=device)), torch.zeros((), device=device)
        for stage in range(PERIODS):
            state, spent = period(state, noise.map(lambda path, t=stage: path[:, t : t + 1]), known)
            cost = cost + spent
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(cost / (PERIODS * case.stores))
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

    return step


def plain_step(case: Case) -> Step:
    """The same step by the plain loop; its scenarios are drawn beforehand, collated in the step."""
    net = PROBLEM.parse(document(case.stores))
    demand = PROBLEM.simulator(net).sample(case.batch, torch.Generator().manual_seed(1)).demand
    scenarios = reference_loop.Scenarios(net, demand)
    network = reference_loop.PlainPerceptron if case.family == "mlp" else reference_loop.PlainGraphNetwork
    policy = network(scenarios, case.hidden)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)

    def step() -> None:
        for collated in reference_loop.batches(scenarios, case.batch):
            reference_loop.train_step(policy, collated, optimizer)

    return step


class ByteCounter(TorchDispatchMode):
    """Bytes that operations read and write, views left out: what a machine of infinite arithmetic would still move."""

    moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        schema = func._schema
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns):
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, torch.Tensor)]
            self.moved += sum(
                x.untyped_storage().nbytes() if x._is_view() and x.numel() == 0 else x.nbytes for x in tensors
            )
        return result


def measure(step: Step, units: float, counted: bool) -> dict[str, float]:
    """Rate, memory and (if `counted`) the arithmetic and bytes of a step."""
    before = _memory("VmRSS")
    step()
    seconds = []
    spent = 0.0
    while len(seconds) < 2 or (spent < 2.5 and len(seconds) < 9):
        started = time.process_time()
        step()
        seconds.append(time.process_time() - started)
        spent += seconds[-1]
    peak = _memory("VmHWM") - before
    found = {"rate": units / statistics.median(seconds), "memory": float(peak)}
    if counted:
        with FlopCounterMode(display=False) as arithmetic:
            step()
        with ByteCounter() as traffic:
            step()
        found |= {"flops": arithmetic.get_total_flops() / units, "bytes": traffic.moved / units}
    return found


def _memory(name: str) -> int:
    """A line of this process's status [bytes]: VmRSS, what is resident, or VmHWM, the most that ever was."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(name))
    return 1024 * int(line.split()[1])


def machine() -> dict[str, float]:
    """The most one thread of this machine does in a second: operations of a matrix product, bytes of a copy."""
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    large = torch.randn(64 * 2**20)
    other = torch.empty_like(large)
    products = min(_seconds(lambda: left @ right) for _ in range(8))
    copies = min(_seconds(lambda: other.copy_(large)) for _ in range(5))
    return {"flops": 2 * 1024**3 / products, "bytes": 2 * large.nbytes / copies}


def _seconds(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def in_its_own_process(side: str, case: Case) -> dict[str, float]:
    """One measurement in a fresh interpreter."""
    command = [sys.executable, "-m", "benchmarks.speed", "--measure", json.dumps({"side": side} | asdict(case))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def comparison(peak: dict[str, float]) -> Iterator[str]:
    """Our step beside the plain loop's."""
    yield "| network | batch | plain loop | ours | ratio (target ≥ 5) | memory plain | ours | share (target ≤ 0.5) |"
    yield "|---|---|---|---|---|---|---|---|"
    ours_by_case = {}
    for name, case in CASES.items():
        rounds = [(in_its_own_process("plain", case), in_its_own_process("ours", case)) for _ in range(ROUNDS)]
        plain, ours = (max(side, key=lambda found: found["rate"]) for side in zip(*rounds, strict=True))
        ours_by_case[name] = ours
        layers = "-".join(str(width) for width in case.hidden)
        yield (
            f"| {name} ({layers} in the loop) | {case.batch} | {plain['rate']:.2e} | {ours['rate']:.2e} "
            f"| {ours['rate'] / plain['rate']:.1f} | {plain['memory'] / 2**20:,.0f} MiB "
            f"| {ours['memory'] / 2**20:,.0f} MiB | {ours['memory'] / plain['memory']:.2f} |"
        )
    small = replace(CASES["warehouse + 3 stores, MLP"], hidden=(WIDTH, WIDTH))
    rate = in_its_own_process("plain", small)["rate"]
    yield ""
    yield f"The plain loop with a perceptron of our size ({WIDTH}-{WIDTH}) on the warehouse with 3 stores: {rate:.2e}."
    yield ""
    yield (
        "| network | ours | public code, as published | flop | bytes | limit by arithmetic | limit by bytes "
        "| ours / limit |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, case in CASES.items():
        ours = ours_by_case[name]
        by_arithmetic, by_bytes = peak["flops"] / ours["flops"], peak["bytes"] / ours["bytes"]
        yield (
            f"| {name} | {ours['rate']:.2e} | {case.published:.1e} | {ours['flops']:,.0f} | {ours['bytes']:,.0f} "
            f"| {by_arithmetic:.2e} | {by_bytes:.2e} | {ours['rate'] / min(by_arithmetic, by_bytes):.2f} |"
        )


def compiled() -> Iterator[str]:
    """What compiling a period gives, on request."""
    case = CASES["warehouse + 3 stores, GNN"]
    plain, ours = in_its_own_process("ours", case), in_its_own_process("compiled", case)
    yield (
        f"A period compiled by `torch.compile`, warehouse with 3 stores: {ours['rate']:.2e} instead of "
        f"{plain['rate']:.2e} ({ours['rate'] / plain['rate']:.2f} times)."
    )


def scaling() -> Iterator[str]:
    """Cost per store from ten to a thousand."""
    yield "| stores | batch | sample·store·periods per CPU-second | CPU-µs for one | bytes kept for one |"
    yield "|---|---|---|---|---|"
    cases = [Case(stores, "gnn", batch) for stores, batch in (*SIZES.items(), THOUSAND)]
    for case in (*cases, replace(cases[-1], checkpoint_every=7)):
        found = in_its_own_process("ours", case)
        kept = found["memory"] / case.units
        memory = f"{kept:,.0f} ({found['memory'] / 2**30:.2f} GiB in all)"
        name = f"{case.stores:,}" + (f", checkpoint_every {case.checkpoint_every}" if case.checkpoint_every else "")
        yield f"| {name} | {case.batch} | {found['rate']:.2e} | {1e6 / found['rate']:.2f} | {memory} |"


def report(with_compiler: bool) -> Iterator[str]:
    """Every table."""
    peak = machine()
    threads = f"one thread, torch {torch.__version__}, {platform.machine()}"
    rates = f"{peak['flops'] / 1e9:.0f} Gflop/s (matrix product), {peak['bytes'] / 1e9:.1f} GB/s (copy)"
    yield f"Machine: {rates}; {threads}."
    yield ""
    yield from comparison(peak)
    yield ""
    if with_compiler:
        yield from compiled()
    else:
        yield "Nothing was compiled (`--compile` measures a period under `torch.compile`)."
    yield ""
    yield from scaling()


def write(path: Path, lines: list[str]) -> None:
    """Put the tables between the page's two marks."""
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text("\n".join((before + BEGIN, *lines, END + after)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page whose tables to replace")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (a C++ compiler, minutes)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure:
        asked = json.loads(arguments.measure)
        side, case = asked.pop("side"), Case(**asked)
        step = {"ours": our_step, "plain": plain_step, "compiled": compiled_step}[side](case)
        print(json.dumps(measure(step, case.units, counted=side == "ours" and case.stores <= 10)))
        return
    lines = []
    for line in report(arguments.compile):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        write(arguments.write, lines)


if __name__ == "__main__":
    main()
