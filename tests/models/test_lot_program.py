"""The replay contract: what the program plans, the simulator carries out at the same cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import Lots
from models.lot_sizing.program import LotProgram, lot_program
from models.lot_sizing.simulator import LotSimulator
from models.program import Vector
from solvers.bounds import Replay, replay, reported_weights
from solvers.highs import HotProgram
from tests.models.lot_plants import random_plant
from tests.oracles.capacitated_lots import FIVE_ITEMS, CapacitatedLots, capacitated_lots, unit_sequence
from tests.oracles.wagner_whitin import wagner_whitin

SCENARIOS = 3


class Planned:
    """Every scenario of a plant planned with its demand known, and replayed."""

    def __init__(self, document: dict[str, Any], scenarios: int = SCENARIOS, seed: int = 11) -> None:
        self.plant = LotSizing.model_validate(document)
        self.simulator = LotSimulator(self.plant).double()
        self.face: LotProgram = lot_program(self.plant)
        generator = torch.Generator().manual_seed(seed)
        self.state = self.simulator.initial(scenarios, generator)
        self.noise = self.simulator.sample(scenarios, generator)
        self.weights = reported_weights(self.simulator)
        self.chained = self.face.horizon(self.weights)
        states, paths = self.face.state_vector(self.state), self.face.noise_path(self.noise)
        hot = HotProgram(self.chained.program)
        self.values = np.zeros(scenarios)
        self.x = np.zeros((scenarios, len(self.chained.program.columns)))
        for row in range(scenarios):
            hot.set_data(states[row], paths[row])
            self.values[row] = hot.solve().require("plan").value
            self.x[row] = hot.columns()
        self.done: Replay = replay(self.simulator, self.face, self.chained, self.x, self.state, self.noise)

    @property
    def replayed(self) -> Vector:
        return self.done.costs @ self.weights


def plant(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One machine that makes three of any item, at a setup of 1 and a loss of 1."""
    full = [{"id": f"i{k}", "demand": certain(1.0)} | item for k, item in enumerate(items)]
    lines = [
        {"machine": "m", "item": item["id"], "production": 3.0, "setup_cost": 1.0, "setup_loss": 1.0} for item in full
    ]
    base = {"problem": "lot_sizing", "periods": 4, "items": full, "machines": [{"id": "m"}], "capabilities": lines}
    return base | more


def certain(*demand: float) -> dict[str, Any]:
    """Known demand, which repeats."""
    return {"process": "history", "history": list(demand), "season_length": len(demand)}


@pytest.mark.parametrize("seed", range(150))
def test_a_plan_for_a_random_plant_costs_what_its_replay_costs(seed: int) -> None:
    """Exactly, or, where the program says what it allows beyond the simulator, no more."""
    planned = Planned(random_plant(seed))
    if planned.face.relaxes:
        assert (planned.values <= planned.replayed + 1e-5 * (1 + np.abs(planned.replayed))).all()
    else:
        np.testing.assert_allclose(planned.replayed, planned.values, rtol=1e-6, atol=1e-5)
        assert planned.done.breach <= 1e-6


@pytest.mark.parametrize("seed", range(0, 150, 5))
def test_any_decisions_are_feasible_in_the_program_at_the_simulators_cost(seed: int) -> None:
    """The program allows whatever the simulator allows, at no more than the simulator charges: it is a lower bound."""
    own = LotSizing.model_validate(random_plant(seed))
    simulator, face = LotSimulator(own).double(), lot_program(own)
    generator = torch.Generator().manual_seed(seed)
    state, noise = simulator.initial(4, generator), simulator.sample(4, generator)
    for stage in range(own.periods):
        asked = torch.randint(simulator.choices.num_options, (4, simulator.choices.num_slots), generator=generator)
        decision = simulator.repair(state, simulator.choices.decision(asked), stage)
        made = simulator.output.of(state, decision.item, stage)
        made = made * decision.share if simulator.output.divisible else made
        post, decided = simulator.decide(state, decision, stage)
        following, realized = simulator.realize(post, noise, stage)
        hot = HotProgram(face.stage(stage))
        for row in range(4):
            hot.set_data(face.state_vector(state)[row], face.noise_vector(noise, stage)[row])
            fix(hot, face, decision.rows([row]), made[row].numpy(), stage)
            least = hot.solve().require("these lots").value
            assert least <= float(decided.total[row] + realized.total[row]) + 1e-6
        state = following


def fix(hot: HotProgram, face: LotProgram, lots: Lots, made: Vector, stage: int) -> None:
    """Leave the program no other lots than these."""
    program = face.stage(stage)
    able = [(m, i) for m, machine in enumerate(face.plant.machines) for i, item in enumerate(face.plant.items)]
    for m, i in able:
        name = f"[{face.plant.machines[m].id},{face.plant.items[i].id}]"
        given = float(lots.item[0, m] == i)
        for family, amount in (("make", given), ("lot", given * float(made[m]))):
            if family + name in program.columns:
                column = np.array([program.column(family + name)], dtype=np.int32)
                hot.set_column_bounds(column, np.array([amount]), np.array([amount]))


@pytest.mark.parametrize("seed", range(0, 150, 6))
def test_the_program_and_the_simulator_pass_through_the_same_states(seed: int) -> None:
    planned = Planned(random_plant(seed))
    if planned.face.relaxes:
        pytest.skip("the program is a relaxation")
    state = planned.face.state_vector(planned.state)
    bound, free = (
        len(planned.face.common.bound),
        [i for i, cost in enumerate(planned.face.layout.holding_cost) if not cost],
    )
    for stage in range(planned.plant.periods):
        simulated = planned.face.state_vector(planned.done.states[stage])
        # What costs nothing to keep may be thrown away; a run may be said to be left longer than it is.
        compared = np.delete(np.arange(state.shape[1] - bound), free)
        np.testing.assert_allclose(state[:, compared], simulated[:, compared], atol=1e-5)
        x = planned.chained.columns_of(planned.x, stage)
        state = planned.face.stage(stage).following(x, state, planned.face.noise_vector(planned.noise, stage))


def test_a_textbook_plan_of_wagner_and_whitin() -> None:
    """Every second period nobody works, so that every lot is a setup; a month is two periods."""
    demand = [90.0, 120.0, 80.0, 70.0]
    months = [amount for month in demand for amount in (month, 0.0)]
    item = {"holding_cost": 1.0, "lost_sales_cost": 1e4, "demand": certain(*months)}
    document = plant(item, periods=8, lot_rule="up_to_rate")
    document["machines"] = [{"id": "m", "hours": 8.0, "hours_by_period": [8.0, 0.0]}]
    document["capabilities"] = [{"machine": "m", "item": "i0", "production": 500.0, "setup_cost": 500.0}]
    planned = Planned(document, scenarios=1)
    assert planned.values[0] == pytest.approx(wagner_whitin(demand, 500, 2)[0]) == 1380
    assert planned.replayed[0] == pytest.approx(1380)


@pytest.mark.parametrize("capacity", [100.0, 130.0, 200.0])
def test_a_limited_machine_makes_the_capacitated_plan(capacity: float) -> None:
    demand = np.array([[60.0, 120.0, 80.0, 70.0]])
    months = [amount for month in demand[0].tolist() for amount in (month, 0.0)]
    item = {"holding_cost": 1.0, "lost_sales_cost": 1e4, "demand": certain(*months)}
    document = plant(item, periods=8, lot_rule="up_to_rate")
    document["machines"] = [{"id": "m", "hours": 10.0, "hours_by_period": [10.0, 0.0]}]
    line = {"machine": "m", "item": "i0", "production": capacity, "setup_cost": 90.0, "setup_hours": 0.5}
    document["capabilities"] = [line]
    one = np.ones(1)
    data = CapacitatedLots(demand, 90 * one, 2 * one, np.full(4, 10.0), 10 / capacity * one, 0.5 * one)
    assert Planned(document, scenarios=1).replayed[0] == pytest.approx(capacitated_lots(data))


def five_items(periods: int) -> dict[str, Any]:
    """The first periods of a published sequence of unit lots."""
    orders, stocking, changeovers, _ = FIVE_ITEMS
    names = "ABCDE"
    return {
        "problem": "lot_sizing",
        "periods": periods,
        "setup_carry_over": True,
        "items": [
            {
                "id": name,
                "holding_cost": float(stocking[k]),
                "lost_sales_cost": 1e4,
                "demand": certain(*(float(digit) for digit in orders[k][:periods])),
            }
            for k, name in enumerate(names)
        ],
        "machines": [{"id": "m"}],
        "capabilities": [{"machine": "m", "item": name, "production": 1.0} for name in names],
        "changeovers": [
            {"machine": "m", "from": a, "to": b, "cost": float(changeovers[j][k])}
            for j, a in enumerate(names)
            for k, b in enumerate(names)
            if a != b
        ],
    }


def test_a_published_sequence_of_twenty_unit_lots_is_proven_optimal() -> None:
    assert Planned(five_items(20), scenarios=1).replayed[0] == pytest.approx(FIVE_ITEMS[3])


@pytest.mark.parametrize("periods", [8, 12])
def test_the_first_lots_of_a_published_sequence_are_those_of_the_recursion(periods: int) -> None:
    orders, stocking, changeovers, _ = FIVE_ITEMS
    wanted = [[int(digit) for digit in row[:periods]] for row in orders]
    found = Planned(five_items(periods), scenarios=1).replayed[0]
    assert found == pytest.approx(unit_sequence(wanted, stocking, changeovers))


def test_stock_is_scrapped_only_where_the_storage_is_full() -> None:
    """Nobody asks for it and it costs to keep: a program that may scrap at will would."""
    document = plant({"holding_cost": 2.0, "inventory_max": 5.0, "initial_inventory": 4.0, "demand": certain(0.0)})
    assert Planned(document, scenarios=1).values[0] == pytest.approx(2 * 4 * 4)


def test_a_component_is_not_kept_back_from_its_customers() -> None:
    """One in stock, worth 1 to its own customer and 9 as part of the other item: the customer comes first."""
    component = {"id": "part", "lost_sales_cost": 1.0, "initial_inventory": 1.0, "demand": certain(1.0)}
    whole = {"id": "whole", "lost_sales_cost": 9.0, "demand": certain(0.0, 1.0)}
    document = plant(component, whole, periods=2, bill_of_materials=[{"item": "whole", "component": "part"}])
    document["capabilities"] = [{"machine": "m", "item": "whole", "production": 1.0}]
    # Making it at once takes the part from the customer; waiting is not possible.
    assert Planned(document, scenarios=1).values[0] == pytest.approx(2.0)
    later = document | {"maintenance": [{"machine": "m", "period": 0}]}
    assert Planned(later, scenarios=1).values[0] == pytest.approx(1.0 + 9.0)


def test_stages_with_the_same_working_time_are_one_object() -> None:
    document = plant({}, periods=9)
    document["machines"] = [{"id": "m", "hours": 8.0, "hours_by_period": [8.0, 4.0, 8.0]}]
    face = lot_program(LotSizing.model_validate(document))
    stages = [face.stage(t) for t in range(9)]
    assert stages[0] is stages[2] is stages[3] is stages[8]
    assert stages[1] is stages[4] is not stages[0]


def test_rows_and_columns_carry_the_planners_ids() -> None:
    stage = lot_program(LotSizing.model_validate(plant({"id": "bread", "inventory_max": 9.0}))).stage(0)
    assert stage.columns[stage.column("make[m,bread]")] == "make[m,bread]"
    assert stage.rows[stage.row("balance[bread]")] == "balance[bread]"
    assert stage.states == ("incoming_on_hand[bread]", "incoming_setup[m,bread]")
    assert stage.noises == ("demand[bread]",)


@pytest.mark.parametrize("several", [1, 2])
def test_any_ids_are_told_apart(several: int) -> None:
    """Pyomo quotes ids that look like numbers or have dots; "none" is an item as any other."""
    ids = ["1.0", "none", "a.b-c", "7"]
    items = [{"id": name, "lost_sales_cost": float(5 + k), "demand": certain(1.0)} for k, name in enumerate(ids)]
    document = plant(*items, periods=3, lot_rule="up_to_rate", lots_per_period=several)
    for line in document["capabilities"]:
        line["machine"] = "m.1"
    document["machines"] = [{"id": "m.1", "hours": 8.0}]
    if several == 1:
        document["changeovers"] = [{"machine": "m.1", "from": "none", "to": "7", "cost": 3.0}]
    planned = Planned(document, scenarios=1)
    np.testing.assert_allclose(planned.replayed, planned.values, atol=1e-6)
    assert any((lots.item < len(ids)).any() for lots in planned.done.decisions)


def test_what_is_decided_before_demand_is_who_makes_what_and_how_much() -> None:
    document = plant({}, {}, lot_rule="up_to_rate", setup_carry_over=True)
    face = lot_program(LotSizing.model_validate(document))
    names = {face.stage(0).columns[k].split("[")[0] for k in face.here_and_now(0)}
    assert names == {"make", "start", "lot", "setup", "nothing"}


def test_a_plan_looks_through_runs_and_levels() -> None:
    def lookahead(**more: Any) -> int:
        return lot_program(LotSizing.model_validate(plant({}, {}, periods=50) | more)).lookahead

    assert lookahead() == 5
    assert lookahead(machines=[{"id": "m", "minimum_run": 4}]) == 8
    assert lookahead(bill_of_materials=[{"item": "i0", "component": "i1"}]) == 6
    assert lookahead(periods=3) == 3


def test_a_solvers_almost_whole_numbers_are_taken_for_whole() -> None:
    face = lot_program(LotSizing.model_validate(plant({}, {}, lot_rule="up_to_rate")))
    stage = face.stage(0)
    x = np.zeros((3, len(stage.columns)))
    x[0, stage.column("make[m,i1]")] = 0.9999999
    x[0, stage.column("lot[m,i1]")] = 1.5
    x[1, stage.column("make[m,i0]")] = 1e-7
    x[2, stage.column("make[m,i0]")] = x[2, stage.column("start[m,i0]")] = 1.0
    x[2, stage.column("lot[m,i0]")] = 2.0000001
    lots = face.decision(x, 0)
    assert lots.item.tolist() == [[1], [2], [0]]
    assert lots.share.flatten().tolist() == pytest.approx([0.5, 0.0, 1.0])


def test_relaxations_are_named() -> None:
    def relaxes(**more: Any) -> tuple[str, ...]:
        return lot_program(LotSizing.model_validate(plant({}, {}) | more)).relaxes

    parts = [{"item": "i0", "component": "i1"}]
    assert relaxes(bill_of_materials=parts) == ()
    (run,) = relaxes(bill_of_materials=parts, machines=[{"id": "m", "minimum_run": 2}])
    assert run == "a machine bound to a run may idle although the components of its lot are there"
    stores = [{"id": name, "capacity": 9.0, "items": ["i0", "i1"]} for name in ("a", "b")]
    assert relaxes(storages=stores[:1]) == ()
    assert len(relaxes(storages=stores)) == 1
    assert len(relaxes(storages=stores[:1], whole_units=True)) == 1
