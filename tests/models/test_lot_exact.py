"""The exact faces of a plant: its one table and its items' tables, against plain recursion and the simulator."""

import itertools

import pytest
import torch

from models.lot_sizing.exact.items import ItemTables
from models.lot_sizing.exact.plant import items_refuse, table_refuses
from models.lot_sizing.exact.table import PlantTable
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.lots import LotState
from models.lot_sizing.simulator import LotSimulator
from models.weakly_coupled import PartValues
from solvers.lagrangian import dual
from solvers.value_iteration import optimal_cost
from tests.models.plants import document, plant, random_decision
from tests.models.tabulated_plants import tabulated_plant
from tests.oracles.plant_recursion import least_cost

SEEDS = range(12)


def prices_of(face: ItemTables, seed: int, scale: float = 2.0) -> torch.Tensor:
    shape = (face.num_stages, len(face.resources))
    return scale * torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_items(**changes) -> LotSizing:
    """The page's plant with every item changed."""
    items = [{**item, **changes} for item in document()["items"]]
    return plant(items=items)


class TestPlantTable:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_its_optimum_is_that_of_plain_recursion(self, seed):
        instance = tabulated_plant(seed)
        assert optimal_cost(PlantTable(instance)) == pytest.approx(least_cost(instance), abs=1e-9)

    def test_demand_that_changes_with_the_season(self):
        seasonal = {"process": "seasonal", "mean": 0.4, "season": [0.5, 2.0]}
        items = [
            {**item, "demand": seasonal, "inventory_max": 3.0, "initial_inventory": 1.0} for item in document()["items"]
        ]
        instance = plant(periods=3, items=items)
        table = PlantTable(instance)
        assert not table.stationary
        assert optimal_cost(table) == pytest.approx(least_cost(instance), abs=1e-9)

    def test_a_random_start_is_the_mean_of_the_given_ones(self):
        instance = plant(periods=4, initial_state="random")
        starts = []
        for first, second, setup in itertools.product(range(10), range(10), "AB"):
            stocks = zip(document()["items"], (first, second), strict=True)
            items = [{**item, "initial_inventory": float(stock)} for item, stock in stocks]
            starts.append(plant(periods=4, items=items, machines=[{"id": "M1", "initial_setup": setup}]))
        given = [optimal_cost(PlantTable(own)) for own in starts]
        assert optimal_cost(PlantTable(instance)) == pytest.approx(sum(given) / len(given), abs=1e-9)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_every_state_has_its_entry(self, seed):
        instance = tabulated_plant(seed)
        table, simulator = PlantTable(instance), LotSimulator(instance)
        generator = torch.Generator().manual_seed(seed)
        state, noise = simulator.initial(64, generator), simulator.sample(64, generator)
        for stage in range(3):
            place = table.place(state)
            assert int(place.min()) >= 0
            assert int(place.max()) < table.num_states
            distinct = {(*s, *m) for s, m in zip(state.stock.tolist(), state.setup.tolist(), strict=True)}
            assert len(place.unique()) == len(distinct)
            post, _ = simulator.decide(state, random_decision(simulator, state, stage, generator), stage)
            state, _ = simulator.realize(post, noise, stage)


class TestItemTables:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_any_prices_bound_the_optimum_from_below(self, seed):
        instance = tabulated_plant(seed)
        face, optimum = ItemTables(instance), optimal_cost(PlantTable(instance))
        for scale in (0.0, 0.5, 2.0, 8.0):
            assert dual(face, prices_of(face, seed, scale))[0] <= optimum + 1e-9

    @pytest.mark.parametrize("seed", SEEDS)
    def test_items_that_share_no_machine_are_priced_exactly(self, seed):
        instance = tabulated_plant(seed, changeovers=[])
        own = {"M0": "A", "M1": "B"}
        able = [c.model_dump() for c in instance.capabilities if own[c.machine] == c.item]
        machines = [m.model_dump() | {"initial_setup": None} for m in instance.machines]
        changes = {"changeovers": [], "setup_carry_over": False}
        alone = tabulated_plant(seed, capabilities=able, machines=machines, **changes)
        face = ItemTables(alone)
        assert dual(face, prices_of(face, 0, 0.0))[0] == pytest.approx(optimal_cost(PlantTable(alone)), abs=1e-9)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_excess_of_use_is_a_supergradient(self, seed):
        face = ItemTables(tabulated_plant(seed))
        here = prices_of(face, seed)
        bound, excess = dual(face, here)
        for other in range(5):
            there = prices_of(face, 100 + other, 4.0)
            assert dual(face, there)[0] <= bound + float((excess * (there - here)).sum()) + 1e-9

    def test_the_excess_of_use_is_the_slope(self):
        face = ItemTables(tabulated_plant(3))
        prices = prices_of(face, 5)
        _, excess = dual(face, prices)
        for stage, machine in itertools.product(range(3), range(len(face.resources))):
            step = torch.zeros_like(prices)
            step[stage, machine] = 1e-6
            slope = (dual(face, prices + step)[0] - dual(face, prices - step)[0]) / 2e-6
            assert float(excess[stage, machine]) == pytest.approx(slope, abs=1e-5)

    def test_stock_limits_of_an_item_do_not_touch_another(self):
        """Items on one shelf have tables of one size; each is still as if alone."""
        small, large = (
            {**item, "inventory_max": most} for item, most in zip(document()["items"], (5.0, 14.0), strict=True)
        )
        both = ItemTables(plant(periods=6, items=[small, large]))
        free = torch.zeros((6, 1), dtype=torch.float64)
        alone = []
        for item in (small, large):
            able = [c for c in document()["capabilities"] if c["item"] == item["id"]]
            alone.append(dual(ItemTables(plant(periods=6, items=[item], capabilities=able)), free)[0])
        assert dual(both, free)[0] == pytest.approx(sum(alone), abs=1e-9)


@pytest.mark.parametrize("seed", [*SEEDS, *range(40, 48)])
class TestSituations:
    """Look-ups against the simulator's own half stage, with whatever a plant may have."""

    def situation(self, seed: int, stage: int = 1):
        runs = {"machines": [{"id": "M0", "minimum_run": 2}]} if seed >= 40 else {}
        instance = tabulated_plant(seed)
        if runs:
            able = [c.model_dump() for c in instance.capabilities if c.machine == "M0"]
            instance = tabulated_plant(seed, **runs, capabilities=able, changeovers=[], maintenance=[])
        face, simulator = ItemTables(instance), LotSimulator(instance)
        values = PartValues(face, 1)
        generator = torch.Generator().manual_seed(seed)
        values.tables.copy_(torch.rand(1, face.num_posts, generator=generator))
        state, noise = simulator.initial(32, generator), simulator.sample(32, generator)
        post, _ = simulator.decide(state, random_decision(simulator, state, 0, generator), 0)
        state, _ = simulator.realize(post, noise, 0)
        return simulator, values, state, values.situation(state, stage), generator

    def judged(self, simulator, values, state: LotState, choice, stage: int = 1):
        """Cost of the half stage plus post-values; infinite where a choice may not be made."""
        may = simulator.choices.feasible(state, stage)
        allowed = may.gather(2, choice[..., None]).squeeze(2).all(1)
        post, costs = simulator.decide(state, simulator.choices.decision(choice), stage)
        return torch.where(allowed, costs.total + values(post, stage).sum(1), torch.inf)

    def test_costs_are_those_of_the_half_stage(self, seed):
        simulator, values, state, situation, generator = self.situation(seed)
        choice = simulator.choices.choice(random_decision(simulator, state, 1, generator))
        torch.testing.assert_close(situation.costs(choice[None])[0], self.judged(simulator, values, state, choice))

    def test_changes_are_differences_of_costs(self, seed):
        simulator, values, state, situation, generator = self.situation(seed)
        choice = simulator.choices.choice(random_decision(simulator, state, 1, generator))
        changes = situation.changes(choice[None])[0]
        before = self.judged(simulator, values, state, choice)
        for slot, option in itertools.product(range(changes.shape[1]), range(changes.shape[2])):
            other = choice.clone()
            other[:, slot] = option
            after = self.judged(simulator, values, state, other)
            torch.testing.assert_close(changes[:, slot, option], after - before, rtol=1e-4, atol=1e-4)

    def test_starts_are_feasible(self, seed):
        simulator, _, state, situation, _ = self.situation(seed)
        for choice in situation.starts():
            assert not simulator.violation(state, simulator.choices.decision(choice), 1).any()


class TestWhatHasNoTable:
    @pytest.mark.parametrize(
        ("instance", "said"),
        [
            (plant(lot_rule="up_to_rate"), "lots of any size"),
            (plant(bill_of_materials=[{"item": "A", "component": "B"}]), "consume each other"),
            (plant(storages=[{"id": "S", "capacity": 9.0, "items": ["A", "B"]}]), "share a storage"),
            (with_items(inventory_max=None, holding_cost=0.0), "A: without a storage limit"),
            (with_items(unmet_demand="backlogged", backlog_cost=1.0), "A: without a limit of the backlog"),
            (with_items(inventory_max=9.5), "not in whole units"),
            (plant(capabilities=[{"machine": "M1", "item": "A", "production": 2.5}]), "output is not in whole units"),
            (
                with_items(demand={"process": "pmf", "values": [0.5], "probabilities": [1.0]}),
                "demand is not in whole units",
            ),
        ],
    )
    def test_it_says_why(self, instance, said):
        assert said in items_refuse(instance)
        assert said in table_refuses(instance)
        with pytest.raises(ValueError, match=said.split(":")[0]):
            ItemTables(instance)

    def test_a_plant_too_large_for_one_table_still_has_items(self):
        items = [{**document()["items"][0], "id": f"I{k}", "inventory_max": 100.0} for k in range(5)]
        able = [{"machine": "M1", "item": f"I{k}", "production": 3.0} for k in range(5)]
        instance = plant(items=items, capabilities=able)
        assert "entries" in table_refuses(instance)
        assert items_refuse(instance) is None

    def test_unlimited_storage_ends_where_keeping_more_cannot_pay(self):
        unlimited = with_items(inventory_max=None, lost_sales_cost=4.0)
        assert "A: without a storage limit" in table_refuses(unlimited)
        assert items_refuse(unlimited) is None
        face = ItemTables(unlimited.model_copy(update={"periods": 8}))
        # At most 2 and 4 units a period; 4 money a lost unit, 1 to keep it.
        assert face.plant.high.tolist() == [10, 20]
        assert any("thrown away" in own for own in face.relaxes)
        roomy = with_items(inventory_max=30.0, lost_sales_cost=4.0).model_copy(update={"periods": 8})
        optimum = optimal_cost(PlantTable(roomy))
        assert dual(face, torch.zeros(8, 1, dtype=torch.float64))[0] <= optimum + 1e-9
        assert dual(face, prices_of(face, 1))[0] <= optimum + 1e-9
        free = torch.zeros(8, 1, dtype=torch.float64)
        assert dual(face, free)[0] == pytest.approx(dual(ItemTables(roomy), free)[0], abs=1e-3)

    def test_an_item_that_too_many_machines_make_is_named(self):
        machines = [{"id": f"M{k}"} for k in range(20)]
        able = [{"machine": f"M{k}", "item": "B", "production": 3.0} for k in range(20)]
        assert "B alone, which 20 machines can make" in items_refuse(plant(machines=machines, capabilities=able))

    def test_minimum_runs_are_relaxed_and_said_so(self):
        instance = plant(machines=[{"id": "M1", "minimum_run": 3}])
        assert "minimum length" in table_refuses(instance)
        assert any("minimum" in own for own in ItemTables(instance).relaxes)

    def test_nobody_can_make_it_and_nothing_to_make(self):
        instance = plant(periods=5, machines=[{"id": "M1"}, {"id": "M2"}], capabilities=document()["capabilities"][:1])
        face = ItemTables(instance)
        assert dual(face, prices_of(face, 1))[0] <= optimal_cost(PlantTable(instance)) + 1e-9
