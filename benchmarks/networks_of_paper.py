"""One warehouse with lost-sales stores, and transshipment: trained policies beside the published figures.

    OMP_NUM_THREADS=1 python -m benchmarks.networks_of_paper [--truth 4|5] [--seeds 0 1 2] [--keep FOLDER] [--write F]

Truth 5: the graph network learns a family (3, 5 and 10 stores in turn), then a few steps on each network, 20, 30 and
50 stores included, and serves networks it never saw. Truth 4: graph network and perceptrons on 128, 1,024 and 8,192
fixed training scenarios, beside the balance relaxation. Costs are per store and period after a warm-up of 100, over a
long run, on common scenarios that no training saw; intervals are 95 %, scenarios and seeds together. With `--keep`
what is trained and judged is kept in a folder and not done again. About a quarter of a CPU-hour each, one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.inventory_network import PROBLEM
from models.inventory_network.examples import transshipment, warehouse_stores
from models.inventory_network.simulator import Orders
from solvers.core import Callbacks, TrainRequest
from solvers.hdpo import HDPOConfig, build, train

Document = dict[str, Any]
Weights = dict[str, Tensor]

PERIODS, WARMUP = 60, 30  # of a training scenario
JUDGED, SETTLING = 1000, 100  # periods of a judgement, and those before it
WIDTH = 24
EVALUATION_SEED = 20_231_124
OTHER_LEAD_TIMES = (2, 3, 2)  # the second published set, three stores


@dataclass(frozen=True)
class Network:
    """A network of truth 5 with its published costs."""

    name: str
    stores: int
    published: float | None = None
    perceptron: float | None = None  # published for the paper's perceptron
    batch: int = 128  # of a training step
    scenarios: int = 512  # of a judgement
    other_lead_times: bool = False

    @property
    def slug(self) -> str:
        """The name of a file about it."""
        return self.name.replace(" ", "-").replace(",", "")

    def document(self) -> Document:
        """The instance."""
        found = warehouse_stores(self.stores)
        if self.other_lead_times:
            for lane, lead_time in zip(found["lanes"][1:], OTHER_LEAD_TIMES, strict=True):
                lane["lead_time"] = lead_time
        return found | {"periods": PERIODS, "warmup_periods": WARMUP}


FAMILY = (3, 5, 10)
FAMILY_STEPS, FAMILY_BATCH = 360, 128
ADAPTING_STEPS, ADAPTING_RATE = 60, 4e-3
NETWORKS = (
    Network("3 stores", 3, 5.60, 5.61, 1024, 1024),
    Network("5 stores", 5, 5.26, 5.27, 640, 768),
    Network("10 stores", 10, 5.72, 5.74, 384, 512),
    Network("20 stores", 20, 5.90, 5.93, 192, 384),
    Network("30 stores", 30, 5.61, 5.67, 128, 256),
    Network("50 stores", 50, 5.42, 5.49, 96, 192),
    Network("3 stores, other lead times", 3, 5.47, 5.49, 1024, 1024, other_lead_times=True),
    Network("4 stores", 4, None, None, 768, 512),
    Network("8 stores", 8, None, None, 448, 512),
)


class Kept:
    """What was computed before, by name: weights and figures, in a folder if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def weights(self, name: str, make: Callable[[], Weights]) -> Weights:
        """Trained weights."""
        path = None if self.folder is None else self.folder / f"{name}.pt"
        if path is not None and path.exists():
            loaded: Weights = torch.load(path, weights_only=True)
            return loaded
        started = time.process_time()
        found = make()
        print(f"  trained {name} in {time.process_time() - started:.0f} CPU-seconds", flush=True)
        if path is not None:
            torch.save(found, path)
        return found

    def costs(self, name: str, make: Callable[[], list[list[float]]]) -> list[list[float]]:
        """Costs of every scenario, policy by policy."""
        path = None if self.folder is None else self.folder / f"{name}.json"
        if path is not None and path.exists():
            loaded: list[list[float]] = json.loads(path.read_text())
            return loaded
        started = time.process_time()
        found = make()
        print(f"  judged {name} in {time.process_time() - started:.0f} CPU-seconds", flush=True)
        if path is not None:
            path.write_text(json.dumps(found))
        return found


def learn(documents: list[Document], family: str, seed: int, start: Weights | None = None, **settings: Any) -> Weights:
    """Weights trained by HDPO on one or several instances."""
    instances = [PROBLEM.parse(document) for document in documents]
    steps = settings["iterations"]
    settings = {"width": WIDTH, "validation_every": max(steps // 3, 1), "validation_scenarios": 512} | settings
    config = HDPOConfig(family=family, **settings)
    request = TrainRequest(PROBLEM, instances[0], config, seed, warm_start=start, also=tuple(instances[1:]))
    return {name: tensor.detach() for name, tensor in train(request, Callbacks()).policy.state_dict().items()}


def judge(document: Document, family: str, policies: list[Weights], stores: int, scenarios: int) -> list[list[float]]:
    """Cost per store and period of every scenario, for every policy on the same ones, over the long run."""
    net, simulator, start, noise = long_run(document, scenarios)
    found = []
    for weights in policies:
        policy = build(PROBLEM, net, HDPOConfig(family=family, width=WIDTH), family)
        policy.load_state_dict(weights)
        with torch.no_grad():
            found.append(spent(simulator, policy.settle(), start, noise, stores))
    return found


def long_run(document: Document, scenarios: int) -> tuple[Any, Any, Any, Any]:
    """The instance over a long horizon, its simulator, and the scenarios every policy is judged on."""
    net = PROBLEM.parse(document | {"periods": SETTLING + JUDGED, "warmup_periods": SETTLING})
    simulator = PROBLEM.simulator(net, counts=False)
    generator = torch.Generator().manual_seed(EVALUATION_SEED)
    return net, simulator, simulator.initial(scenarios, generator), simulator.sample(scenarios, generator)


def spent(simulator: Any, decide: Callable[[Any, Any], Any], state: Any, noise: Any, stores: int) -> list[float]:
    """Cost per store and period of every scenario after settling."""
    total = torch.zeros(state.batch, dtype=torch.float64)
    for stage in range(simulator.num_stages):
        post, decided = simulator.decide(state, decide(state, stage), stage)
        state, realized = simulator.realize(post, noise, stage)
        if stage >= SETTLING:
            total += decided.total.double() if decided.components else 0.0
            total += realized.total.double()
    found: list[float] = (total / (stores * JUDGED)).tolist()
    return found


def interval(costs: list[list[float]]) -> tuple[float, float]:
    """Mean over policies and scenarios and half its 95 % interval: that of scenarios, and that of the seeds."""
    paired = [statistics.fmean(column) for column in zip(*costs, strict=True)]
    by_scenario = statistics.stdev(paired) / math.sqrt(len(paired))
    means = [statistics.fmean(row) for row in costs]
    by_seed = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
    return statistics.fmean(means), 1.96 * math.hypot(by_scenario, by_seed)


def adapted(kept: Kept, network: Network, seed: int) -> Weights:
    """The family's policy after its few steps on a network."""

    def make() -> Weights:
        settings = {"iterations": ADAPTING_STEPS, "batch_size": network.batch, "learning_rate": ADAPTING_RATE}
        return learn([network.document()], "gnn", seed, family_policy(kept, seed), **settings)

    return kept.weights(f"adapted-{network.slug}-{seed}", make)


def family_policy(kept: Kept, seed: int) -> Weights:
    """One policy for 3, 5 and 10 stores, trained on each in turn."""
    documents = [Network("", stores).document() for stores in FAMILY]

    def make() -> Weights:
        return learn(documents, "gnn", seed, iterations=FAMILY_STEPS, batch_size=FAMILY_BATCH)

    return kept.weights(f"family-{seed}", make)


def warehouses(kept: Kept, seeds: list[int]) -> Iterator[str]:
    """Truth 5."""
    yield "| one warehouse, lost sales | trained on it | published GNN | MLP | the family's policy as it is | loss |"
    yield "|---|---|---|---|---|---|"
    for network in NETWORKS:
        ours = [_both(kept, network, seed) for seed in seeds]
        mean, half = interval([trained for trained, _ in ours])
        zero_shot, _ = interval([family for _, family in ours])
        more, around = interval([[b - a for a, b in zip(*pair, strict=True)] for pair in ours])
        seen = "" if network.stores in FAMILY and not network.other_lead_times else " (never seen)"
        published = "" if network.published is None else f"{network.published:.2f}"
        perceptron = "" if network.perceptron is None else f"{network.perceptron:.2f}"
        yield (
            f"| {network.name} | {mean:.3f} ± {half:.3f} | {published} | {perceptron} | {zero_shot:.3f}{seen} "
            f"| {100 * more / mean:+.2f} ± {100 * around / mean:.2f} % |"
        )


def _both(kept: Kept, network: Network, seed: int) -> list[list[float]]:
    """Costs of one seed's policy after its steps on the network, and of the family's as it is."""

    def make() -> list[list[float]]:
        policies = [adapted(kept, network, seed), family_policy(kept, seed)]
        return judge(network.document(), "gnn", policies, network.stores, network.scenarios)

    return kept.costs(f"warehouse-{network.slug}-{seed}", make)


TRANSSHIPMENT_STORES = 5
FIXED = (128, 1024, 8192)
FAMILIES = ("gnn", "symmetric", "mlp")
STEPS, RATES = 120, {"gnn": 6e-3, "symmetric": 6e-3, "mlp": 6e-3}


def transshipments(kept: Kept, seeds: list[int]) -> Iterator[str]:
    """Truth 4: what policies cost more than the balance relaxation does on the same scenarios."""
    document = transshipment(TRANSSHIPMENT_STORES, holding_cost=10.0) | {"periods": PERIODS, "warmup_periods": WARMUP}
    bound = next(method for method in PROBLEM.bounds if method.name == "balance_relaxation")
    found = bound.value(PROBLEM.parse(document), lambda: False)
    value = found.value_per_stage / TRANSSHIPMENT_STORES
    level = found.details["levels"]["echelon_base_stock"]
    (relaxed,) = kept.costs("transshipment-relaxed", lambda: [relaxed_costs(document, level, 1024)])
    mean, half = interval([relaxed])
    network = f"{TRANSSHIPMENT_STORES} stores, L 3 and 4, p 9, ρ .5"
    yield f"Balance relaxation, {network}: {value:.4f}; simulated {mean:.4f} ± {half:.4f}."
    yield ""
    columns = " | ".join(f"{count:,} scenarios" for count in FIXED)
    yield f"| gap to the bound | {columns} |"
    yield "|---|" + "---|" * len(FIXED)
    yield "| published GNN | 0.58 – 1.32 % | | 0.02 – 0.11 % |"
    known = {family.name for family in PROBLEM.families}
    for family in (name for name in FAMILIES if name in known):
        cells = []
        for count in FIXED:
            costs = [_transshipped(kept, document, family, count, seed)[0] for seed in seeds]
            more, around = interval([[a - b for a, b in zip(row, relaxed, strict=True)] for row in costs])
            cells.append(f"{100 * more / value:+.2f} ± {100 * around / value:.2f} %")
        yield f"| {family} | {' | '.join(cells)} |"


def relaxed_costs(document: Document, level: float, scenarios: int) -> list[float]:
    """The relaxation itself, simulated: goods may be taken back from stores, so that all are always alike in cover.

    Its mean is the bound; on the judged scenarios it takes most of their noise out of the gap.
    """
    _, simulator, start, noise = long_run(document, scenarios)
    lay, count = simulator.layout, TRANSSHIPMENT_STORES
    slots = torch.from_numpy(lay.target[lay.slot_lane])
    lane = torch.from_numpy(lay.target.argsort())  # lanes into the stores in their order, then into the warehouse
    mean, std = (torch.tensor(x[:count], dtype=torch.float32) for x in (lay.flow, lay.flow_std))
    cover = mean * (1 + int(lay.lead_time[lane[0]]))

    def decide(state: Any, stage: int) -> Orders:
        position = state.net_inventory.t().index_add(0, slots, state.pipeline.t()).t()
        wanted = cover - position[:, :count]
        spare = (state.net_inventory[:, count:] - wanted.sum(1, keepdim=True)) / std.sum()
        orders = torch.cat((wanted + spare * std, level - position.sum(1, keepdim=True)), dim=1)
        return Orders(torch.empty_like(orders).index_copy(1, lane, orders))

    return spent(simulator, decide, start, noise, count)


def _transshipped(kept: Kept, document: Document, family: str, count: int, seed: int) -> list[list[float]]:
    name = f"transshipment-{family}-{count}-{seed}"

    def make() -> Weights:
        settings = {"iterations": STEPS, "batch_size": 256, "learning_rate": RATES[family]}
        return learn([document], family, seed, training_scenarios=count, **settings)

    def judged() -> list[list[float]]:
        return judge(document, family, [kept.weights(name, make)], TRANSSHIPMENT_STORES, 1024)

    return kept.costs(name, judged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=int, choices=(4, 5), help="one of the two alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of training")
    parser.add_argument("--keep", type=Path, help="folder of what was trained and judged before")
    parser.add_argument("--write", type=Path, help="page to write the tables to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(arguments.keep)
    tables = {4: transshipments, 5: warehouses}
    lines: list[str] = [f"Seeds of training: {', '.join(map(str, arguments.seeds))}.", ""]
    for truth in [arguments.truth] if arguments.truth else [5, 4]:
        for line in (f"## Truth {truth}", "", *tables[truth](kept, arguments.seeds), ""):
            print(line, flush=True)
            lines.append(line)
    if arguments.write:
        arguments.write.write_text("\n".join(["# The paper's networks", "", *lines]))


if __name__ == "__main__":
    main()
