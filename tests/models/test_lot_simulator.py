"""The batched dynamics against the page's rules worked by hand, and against the plain simulator on random plants."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lot_sizing.lots import Lots, LotState
from models.lot_sizing.simulator import Demand, LotPostState, LotSimulator
from tests.models.plain_plant import PlainPlant, PlainState
from tests.models.plants import plant, random_decision, random_plant

NOTHING = torch.zeros(1, 0, dtype=torch.float64)


def exact(own) -> LotSimulator:
    return LotSimulator(own).double()


def lots(*items: int) -> Lots:
    return Lots(torch.tensor([items]), NOTHING)


def state_of(simulator, stock, setup) -> LotState:
    bound = simulator.num_machines if simulator.binds_runs else 0
    run = torch.zeros(1, bound, dtype=torch.long)
    return LotState(torch.tensor([stock], dtype=torch.float64), torch.tensor([setup]), run)


def strike(simulator, post, demand):
    noise = Demand(torch.tensor([[demand]], dtype=torch.float64))
    return simulator.realize(post, noise, 0)


class TestOnePeriodByHand:
    def test_a_changeover_costs_money_and_output(self):
        simulator = exact(plant())
        post, costs = simulator.decide(state_of(simulator, [3.0, 1.0], [0]), lots(1), 0)
        assert post.stock.tolist() == [[3.0, 3.0]]
        assert post.setup.tolist() == [[1]]
        assert costs.components["setup"].tolist() == [1.0]

    def test_going_on_costs_nothing_and_makes_the_full_lot(self):
        simulator = exact(plant())
        post, costs = simulator.decide(state_of(simulator, [3.0, 1.0], [1]), lots(1), 0)
        assert post.stock.tolist() == [[3.0, 4.0]]
        assert costs.total.tolist() == [0.0]

    def test_a_machine_that_idled_pays_again(self):
        simulator = exact(plant())
        post, _ = simulator.decide(state_of(simulator, [3.0, 1.0], [1]), lots(2), 0)
        assert post.setup.tolist() == [[2]]
        _, costs = simulator.decide(state_of(simulator, [3.0, 1.0], post.setup[0].tolist()), lots(1), 0)
        assert costs.total.tolist() == [1.0]

    def test_with_carry_over_it_keeps_its_setup(self):
        simulator = exact(plant(setup_carry_over=True))
        post, _ = simulator.decide(state_of(simulator, [3.0, 1.0], [1]), lots(2), 0)
        assert post.setup.tolist() == [[1]]

    def test_demand_takes_stock_then_is_lost_and_holding_is_paid_on_what_is_left(self):
        simulator = exact(plant())
        post = LotPostState(torch.tensor([[3.0, 1.0]]).double(), torch.tensor([[0]]), torch.zeros(1, 0).long())
        state, costs = strike(simulator, post, [1.0, 4.0])
        assert state.stock.tolist() == [[2.0, 0.0]]
        assert {name: float(value) for name, value in costs.components.items()} == {"lost_sales": 60.0, "holding": 2.0}

    def test_stock_over_the_limit_is_scrapped_before_holding_is_paid(self):
        simulator = exact(plant())
        post = LotPostState(torch.tensor([[13.0, 1.0]]).double(), torch.tensor([[0]]), torch.zeros(1, 0).long())
        state, costs = strike(simulator, post, [1.0, 0.0])
        assert state.stock.tolist() == [[10.0, 1.0]]
        assert float(costs.components["holding"]) == 11.0
        assert costs.places["scrapped"].tolist() == [[2.0, 0.0]]

    def test_a_loss_beyond_the_output_makes_nothing_rather_than_less(self):
        slow = {"machine": "M1", "item": "A", "production": 1.0, "setup_cost": 1.0, "setup_loss": 3.0}
        simulator = exact(plant(capabilities=[slow]))
        post, _ = simulator.decide(state_of(simulator, [3.0, 1.0], [2]), lots(0), 0)
        assert post.stock.tolist() == [[3.0, 1.0]]


class TestSeveralLotsByHand:
    def plant(self):
        able = [
            {"machine": "M1", "item": item, "production": 8.0, "setup_cost": 3.0, "setup_hours": 2.0} for item in "AB"
        ]
        machine = {"id": "M1", "initial_setup": "A", "hours": 8.0}
        return plant(machines=[machine], capabilities=able, lot_rule="up_to_rate", lots_per_period=2)

    def given(self, first, second, *share) -> Lots:
        return Lots(torch.tensor([[first, second]]), torch.tensor([share], dtype=torch.float64))

    def test_the_second_lot_has_the_hours_the_first_left(self):
        simulator = exact(self.plant())
        # Half of 8 hours for A: 4 units; of the other 4 hours the changeover takes 2, all the rest makes B: 2 units.
        post, costs = simulator.decide(state_of(simulator, [0.0, 0.0], [0]), self.given(0, 1, 0.5, 1.0), 0)
        assert post.stock.tolist() == [[4.0, 2.0]]
        assert post.setup.tolist() == [[1]]
        assert float(costs.components["setup"]) == 3.0

    def test_an_idle_second_lot_keeps_the_setup_of_the_first(self):
        simulator = exact(self.plant())
        post, _ = simulator.decide(state_of(simulator, [0.0, 0.0], [2]), self.given(1, 2, 0.5, 0.0), 0)
        assert post.setup.tolist() == [[1]]
        assert post.stock.tolist() == [[0.0, 3.0]]

    def test_a_changeover_that_does_not_end_in_the_period_may_not_begin(self):
        simulator = exact(self.plant())
        state, lots = state_of(simulator, [0.0, 0.0], [0]), self.given(0, 1, 1.0, 1.0)
        assert float(simulator.violation(state, lots, 0)) == 1.0
        repaired = simulator.repair(state, lots, 0)
        assert repaired.item.tolist() == [[0, 2]]
        choice = simulator.lot_choices.choice(lots)
        assert simulator.lot_choices.feasible(state, 0, choice)[0, 2, :3].tolist() == [True, False, True]


def walk(own, seed: int, batch: int = 4):
    """A random feasible walk through a plant in both simulators, period by period."""
    generator = torch.Generator().manual_seed(seed)
    simulator, plain = exact(own), PlainPlant(own)
    state, noise = simulator.initial(batch, generator), simulator.sample(batch, generator)
    states = [plain.start() for _ in range(batch)]
    for period in range(own.periods):
        decision = random_decision(simulator, state, period, generator)
        yield simulator, plain, state, states, decision, noise, period
        post, decided = simulator.decide(state, decision, period)
        state, realized = simulator.realize(post, noise, period)
        found = {**decided.components, **realized.components}
        for row in range(batch):
            given_items, shares = plain_decision(own, decision, row)
            demand = dict(zip(simulator.places, noise.demand[row, period].tolist(), strict=True))
            states[row], costs = plain.step(states[row], given_items, shares, demand, period)
            assert_same(own, state, states[row], row)
            for name, value in costs.items():
                assert (float(found[name][row]) if name in found else 0.0) == pytest.approx(value, abs=1e-3)


def plain_decision(own, decision: Lots, row: int):
    """Item and share by machine; lists of them where a period has several lots."""
    items, several = [*(item.id for item in own.items), None], own.lots_per_period
    chosen = [items[k] for k in decision.item[row].tolist()]
    share = decision.share[row].tolist() or [1.0] * len(chosen)
    if several == 1:
        return tuple({m.id: values[k] for k, m in enumerate(own.machines)} for values in (chosen, share))
    return tuple(
        {m.id: values[k * several : (k + 1) * several] for k, m in enumerate(own.machines)}
        for values in (chosen, share)
    )


def assert_same(own, state: LotState, plain: PlainState, row: int) -> None:
    assert state.stock[row].tolist() == pytest.approx([plain.stock[item.id] for item in own.items], abs=1e-3)
    names = [*(item.id for item in own.items), None]
    assert [names[k] for k in state.setup[row].tolist()] == [plain.setup[m.id] for m in own.machines]
    if state.run.numel():
        assert state.run[row].tolist() == [plain.run[m.id] for m in own.machines]


@given(st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
def test_any_plant_behaves_as_in_the_plain_simulator(seed):
    for _ in walk(random_plant(seed), seed):
        pass


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_a_machine_may_be_given_what_the_plain_simulator_allows(seed):
    own = random_plant(seed)
    if own.lots_per_period > 1:
        return  # whether a changeover still fits is asserted on every walk
    for simulator, plain, state, states, decision, _, period in walk(own, seed, batch=2):
        choice = simulator.lot_choices.choice(decision)
        step = 2 if own.lot_rule == "up_to_rate" else 1
        mask = simulator.lot_choices.feasible(state, period, choice)[:, ::step]
        for row in range(2):
            given_items, _ = plain_decision(own, decision, row)
            for place, machine in enumerate(own.machines):
                for option, item in enumerate([*(item.id for item in own.items), None]):
                    allowed = plain.may(states[row], given_items, machine, item, period)
                    assert bool(mask[row, place, option]) == allowed


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_repair_makes_anything_feasible_and_leaves_the_feasible_alone(seed):
    own = random_plant(seed)
    generator = torch.Generator().manual_seed(seed)
    for simulator, _, state, _, decision, _, period in walk(own, seed):
        same = simulator.repair(state, decision, period)
        assert torch.equal(same.item, decision.item)
        torch.testing.assert_close(same.share, decision.share, rtol=1e-3, atol=1e-3)
        wild = torch.randint(0, simulator.num_items + 1, decision.item.shape, generator=generator)
        share = torch.rand(decision.share.shape, generator=generator).double() * 2 - 0.5
        repaired = simulator.repair(state, Lots(wild, share), period)
        assert float(simulator.violation(state, repaired, period).max()) <= 1e-6
        assert float(simulator.violation(state, decision, period).max()) <= 1e-3


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_stage_per_row_means_the_same_as_one_for_all(seed):
    for simulator, _, state, _, decision, noise, period in walk(random_plant(seed), seed):
        stages = torch.full((state.batch,), period)
        one, cost = simulator.decide(state, decision, period)
        two, same = simulator.decide(state, decision, stages)
        assert torch.equal(one.stock, two.stock)
        assert torch.equal(cost.total, same.total)
        assert torch.equal(
            simulator.realize(one, noise, period)[0].stock, simulator.realize(two, noise, stages)[0].stock
        )
        choice = simulator.lot_choices.choice(decision)
        options = [simulator.lot_choices.feasible(state, when, choice) for when in (period, stages)]
        assert torch.equal(*options)


@pytest.mark.parametrize("seed", range(12))
def test_everything_stays_on_the_simulators_device(seed):
    """Device `meta` holds no numbers, so whatever still lies on the processor is found without a GPU."""
    own = random_plant(seed)
    simulator = LotSimulator(own)
    state, generator = simulator.initial(3, torch.Generator()), torch.Generator().manual_seed(seed)
    noise, decision = simulator.sample(3, generator), random_decision(simulator, state, 0, generator)
    simulator.to("meta")
    state, noise, decision = (record.to("meta") for record in (state, noise, decision))
    post, decided = simulator.decide(state, decision, 0)
    following, realized = simulator.realize(post, noise, torch.zeros(3, dtype=torch.long, device="meta"))
    choice = simulator.lot_choices.choice(simulator.repair(state, decision, 0))
    allowed = simulator.lot_choices.feasible(state, 0, choice)
    found = (*vars(following).values(), decided.total, realized.total, allowed, simulator.violation(state, decision, 0))
    assert {tensor.device.type for tensor in found} == {"meta"}
