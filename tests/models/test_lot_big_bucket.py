"""Big buckets as algebra: plans replay at their cost, what the simulator does is allowed at no more, one by hand."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.program import lot_program
from models.lot_sizing.simulator import LotSimulator
from solvers.highs import HotProgram
from tests.models.lot_plants import random_plant
from tests.models.test_lot_program import Planned, certain


def bucket_plant(seed: int, by_pair: bool = False) -> dict[str, Any]:
    """A random plant with two or three lots a period, without what the document then refuses."""
    found = random_plant(seed) | {"lot_rule": "up_to_rate", "whole_units": False, "lots_per_period": 2 + seed % 2}
    found["machines"] = [machine | {"minimum_run": 1} for machine in found["machines"]]
    found.pop("bill_of_materials", None)
    return found if by_pair else {name: value for name, value in found.items() if name != "changeovers"}


CASES = [*((seed, False) for seed in range(60)), *((seed, True) for seed in range(0, 120, 2))]


@pytest.mark.parametrize(("seed", "by_pair"), CASES)
def test_a_plan_costs_what_its_replay_costs(seed, by_pair):
    planned = Planned(bucket_plant(seed, by_pair))
    if planned.face.relaxes:
        assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()
        return
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-5, atol=1e-4)
    assert planned.done.breach <= 1e-6


@pytest.mark.parametrize(("seed", "by_pair"), CASES[::3])
def test_any_lots_are_feasible_in_the_program_at_the_simulators_cost(seed, by_pair):
    own = LotSizing.model_validate(bucket_plant(seed, by_pair))
    simulator, face = LotSimulator(own).double(), lot_program(own)
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(4, generator), simulator.sample(4, generator)
    for stage in range(own.periods):
        asked = torch.randint(simulator.choices.num_options, (4, simulator.choices.num_slots), generator=generator)
        decision = simulator.repair(state, simulator.choices.decision(asked), stage)
        course = simulator.output.course(state, decision, stage)
        post, decided = simulator.decide(state, decision, stage)
        following, realized = simulator.realize(post, noise, stage)
        hot = HotProgram(face.stage(stage))
        for row in range(4):
            fix(hot, face, own, decision.item[row].tolist(), course.made[row].tolist(), stage)
            hot.set_data(face.state_vector(state)[row], face.noise_vector(noise, stage)[row])
            least = hot.solve().require("these lots").value
            assert least <= float(decided.total[row] + realized.total[row]) + 1e-5
        state = following


def fix(hot, face, own: LotSizing, items: list[int], made: list[float], stage: int) -> None:
    """Leave the program no other amounts than these, machine by machine and item by item."""
    program = face.stage(stage)
    for m, machine in enumerate(own.machines):
        lots = range(m * own.lots_per_period, (m + 1) * own.lots_per_period)
        for i, item in enumerate(own.items):
            name = f"lot[{machine.id},{item.id}]"
            if name in program.columns:
                amount = sum(made[lot] for lot in lots if items[lot] == i)
                column = np.array([program.column(name)], dtype=np.int32)
                hot.set_column_bounds(column, np.array([amount - 1e-7]), np.array([amount + 1e-7]))


def two_sizes(**changes: Any) -> dict[str, Any]:
    """A line of 10 hours that makes 10 of either size in a period; a changeover takes one hour and costs 2."""
    items = [
        {"id": name, "holding_cost": 1, "lost_sales_cost": 50, "demand": certain(4.0), "initial_inventory": 0}
        for name in ("A", "B")
    ]
    able = [{"machine": "m", "item": i, "production": 10, "setup_cost": 2, "setup_hours": 1} for i in ("A", "B")]
    return {
        "problem": "lot_sizing",
        "periods": 3,
        "lot_rule": "up_to_rate",
        "lots_per_period": 2,
        "items": items,
        "machines": [{"id": "m", "hours": 10, "initial_setup": "A"}],
        "capabilities": able,
    } | changes


def test_both_sizes_every_period_with_the_setup_carried_over():
    # A first (set up), then B; next period B first, then A; and so on: one changeover a period, no stock, nothing lost.
    planned = Planned(two_sizes(), scenarios=1)
    assert planned.values[0] == pytest.approx(3 * 2)
    assert planned.replayed[0] == pytest.approx(3 * 2)


def test_without_room_for_two_lots_half_is_stocked_or_lost():
    # One lot a period: 9 or 10 of one size; A, B, A would lose 4 of B, 4 of A, 4 of B at 50 each but for stock of A.
    planned = Planned(two_sizes(lots_per_period=1), scenarios=1)
    assert planned.values[0] > 100
    assert planned.replayed[0] == pytest.approx(planned.values[0])


def three_sizes(**costs: float) -> dict[str, Any]:
    """The line with a third size and free changeovers but for those given, `AB=9` from A to B; four of each wanted."""
    pairs = [
        {"machine": "m", "from": source, "to": target, "cost": costs.get(source + target, 1)}
        for source in "ABC"
        for target in "ABC"
        if source != target
    ]
    items = [two_sizes()["items"][0] | {"id": name, "demand": certain(3.0)} for name in "ABC"]
    able = [{"machine": "m", "item": name, "production": 10} for name in "ABC"]
    return two_sizes(items=items, capabilities=able, changeovers=pairs, lots_per_period=3)


def test_the_cheapest_order_of_three_lots_carries_the_setup_over():
    # 3 of each in the one hour in ten: A, B, C today, C, B, A tomorrow, A, B, C at last: always over B.
    planned = Planned(three_sizes(AC=9, CA=9), scenarios=1)
    assert planned.values[0] == pytest.approx(3 * 2)
    assert planned.replayed[0] == pytest.approx(3 * 2)
    # C cannot be left but for 9, nor B reached from A: A, C, B first (2), B, A, C (2), and 9 to leave C once more.
    dear = Planned(three_sizes(AB=9, CA=9, CB=1, BC=9), scenarios=1)
    assert dear.values[0] == pytest.approx(dear.replayed[0])
    assert dear.values[0] == pytest.approx(_cheapest({"AB": 9, "CA": 9, "BC": 9}))


def _cheapest(costs: dict[str, float]) -> float:
    """Cost of the cheapest three days that make each item every day, by trying every order."""
    best = np.inf
    for days in itertools.product(itertools.permutations("ABC"), repeat=3):
        order = ["A", *itertools.chain(*days)]
        steps = itertools.pairwise(order)
        best = min(best, sum(costs.get(old + new, 1.0) for old, new in steps if old != new))
    return float(best)
