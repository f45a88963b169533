"""Big buckets as algebra: plans replay at their cost, what the simulator does is allowed at no more, one by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.program import lot_program
from models.lot_sizing.simulator import LotSimulator
from models.program import NoProgram
from solvers.highs import HotProgram
from tests.models.lot_plants import random_plant
from tests.models.test_lot_program import Planned, certain


def bucket_plant(seed: int) -> dict[str, Any]:
    """A random plant with two or three lots a period, without what then has no algebra."""
    found = random_plant(seed) | {"lot_rule": "up_to_rate", "whole_units": False, "lots_per_period": 2 + seed % 2}
    found["machines"] = [machine | {"minimum_run": 1} for machine in found["machines"]]
    return {name: value for name, value in found.items() if name not in ("changeovers", "bill_of_materials")}


@pytest.mark.parametrize("seed", range(60))
def test_a_plan_costs_what_its_replay_costs(seed):
    planned = Planned(bucket_plant(seed))
    if planned.face.relaxes:
        assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()
        return
    np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-5, atol=1e-4)
    assert planned.done.breach <= 1e-6


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_any_lots_are_feasible_in_the_program_at_the_simulators_cost(seed):
    own = LotSizing.model_validate(bucket_plant(seed))
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


def test_changeovers_by_pair_have_no_program():
    pairs = [{"machine": "m", "from": "A", "to": "B", "cost": 9}, {"machine": "m", "from": None, "to": "B", "cost": 1}]
    with pytest.raises(NoProgram, match="by pair"):
        lot_program(LotSizing.model_validate(two_sizes(changeovers=pairs)))
