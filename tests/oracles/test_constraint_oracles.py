"""The oracles of constraints against published numbers, closed forms, and each other.

Every table is solved twice, by value iteration and by a linear program; the rest ties each oracle to a formula, or to
another oracle where its constraint does not bind.
"""

import numpy as np
import pytest
from scipy.stats import gamma, nbinom

from tests.oracles.capacitated_line import line
from tests.oracles.clark_scarf import serial_line_of
from tests.oracles.demand import Floats, clipped_normal, negative_binomial, poisson, total
from tests.oracles.dual_sourcing import dual_base_stock, dual_sourcing
from tests.oracles.fill_rate import least_base_stock, least_stock_by_program, price_of_service, service_of
from tests.oracles.lost_sales import lost_sales_store as zipkin
from tests.oracles.newsvendor import newsvendor
from tests.oracles.one_lane import backlogged_store, lost_sales_store, lots, minimum_order
from tests.oracles.partial_backlog import one_period_late, without_lead_time
from tests.oracles.perishable import one_period_life, perishable_store, perishable_table
from tests.oracles.random_lead_time import newsvendor_over_lead_times, one_or_two_periods
from tests.oracles.restricted_orders import (
    capacitated,
    position_cost,
    reorder_point_lots,
    reorder_point_order_up_to,
)
from tests.oracles.tables import average_cost, discounted_decisions, least_cost_by_program

DEMAND = poisson(3.0, 1e-12)
PROGRAM = 5e-5  # [money/period] what the linear program's tolerances leave open


class TestFixedOrderCost:
    @pytest.mark.parametrize(
        ("mean", "low", "high", "cost"),
        [
            (10, 6, 40, 35.022),
            (15, 10, 49, 42.698),
            (20, 14, 62, 49.173),
            (25, 19, 56, 54.262),
            (50, 42, 108, 70.975),
            (75, 67, 86, 79.554),
        ],
    )
    def test_zheng_and_federgruens_table(self, mean: float, low: int, high: int, cost: float) -> None:
        """Zheng and Federgruen (1991), Poisson demand, K = 64, h = 1, b = 9, no lead time."""
        demand = poisson(mean, 1e-13)
        found = reorder_point_order_up_to(demand, position_cost(demand, 0, 1.0, 9.0), 64.0)
        assert found == (low, high, pytest.approx(cost, abs=5e-4))

    @pytest.mark.parametrize("lead_time", [0, 2])
    def test_value_iteration_finds_the_same_policy(self, lead_time: int) -> None:
        demand = poisson(6.0, 1e-12)
        found = backlogged_store(demand, lead_time, 1.0, 4.0, range(40), 5.0, -30, 45)
        low, high, cost = reorder_point_order_up_to(demand, position_cost(demand, lead_time, 1.0, 4.0), 5.0)
        assert found.cost == pytest.approx(cost, abs=1e-6)
        positions = found.table.states.axes[0]
        reached = (positions > high - 35) & (positions <= high)
        expected = np.where(positions <= low, high - positions, 0.0)
        assert found.decisions[0][reached].tolist() == expected[reached].tolist()
        assert lead_time or (low, high, round(cost, 4)) == (4, 10, 8.0341)  # Snyder and Shen's example 4.7


class TestRestrictedOrders:
    def test_capacity_is_a_modified_base_stock(self) -> None:
        found = backlogged_store(DEMAND, 1, 1.0, 9.0, range(5), lowest=-60, highest=30)
        level, cost = capacitated(DEMAND, position_cost(DEMAND, 1, 1.0, 9.0), 4, range(5, 25))
        assert found.cost == pytest.approx(cost, abs=1e-6)
        positions = found.table.states.axes[0]
        assert found.decisions[0].tolist() == np.clip(level - positions, 0, 4).tolist()

    def test_lots_are_a_reorder_point(self) -> None:
        found = backlogged_store(DEMAND, 1, 1.0, 9.0, lots(4, 40))
        point, cost = reorder_point_lots(position_cost(DEMAND, 1, 1.0, 9.0), 4, range(25))
        assert found.cost == pytest.approx(cost, abs=1e-6)
        positions = found.table.states.axes[0]
        reached = positions > point - 30
        expected = 4 * np.ceil(np.clip(point + 1 - positions, 0, None) / 4)
        assert found.decisions[0][reached].tolist() == expected[reached].tolist()

    @pytest.mark.parametrize("menu", [range(5), minimum_order(6, 25), lots(4, 24)], ids=["capacity", "least", "lots"])
    def test_backlogged_tables_agree_with_their_programs(self, menu: list[int]) -> None:
        found = backlogged_store(DEMAND, 1, 1.0, 9.0, menu, lowest=-60)
        assert least_cost_by_program(found.table) == pytest.approx(found.cost, abs=PROGRAM)
        assert average_cost(found.table, found.choice) == pytest.approx(found.cost, abs=1e-6)

    @pytest.mark.parametrize("lead_time", [0, 1])
    @pytest.mark.parametrize("menu", [range(5), minimum_order(5, 12), lots(4, 12)], ids=["capacity", "least", "lots"])
    def test_lost_sales_tables_agree_with_their_programs(self, menu: list[int], lead_time: int) -> None:
        found = lost_sales_store(DEMAND, lead_time, 1.0, 9.0, menu, highest=20)
        assert least_cost_by_program(found.table) == pytest.approx(found.cost, abs=PROGRAM)

    @pytest.mark.parametrize("lead_time", [0, 1])
    def test_a_free_menu_changes_nothing(self, lead_time: int) -> None:
        lost = lost_sales_store(DEMAND, lead_time, 1.0, 9.0, range(15), highest=20)
        assert lost.cost == pytest.approx(zipkin(DEMAND, lead_time, 1.0, 9.0), abs=1e-6)
        waiting = backlogged_store(DEMAND, lead_time, 1.0, 9.0, minimum_order(1, 30))
        assert waiting.cost == pytest.approx(newsvendor(total(DEMAND, lead_time + 1), 1.0, 1.0, 9.0)[1], abs=1e-6)

    def test_restrictions_cost(self) -> None:
        free, least, most = (
            backlogged_store(DEMAND, 1, 1.0, 9.0, menu, lowest=-60).cost
            for menu in (range(40), minimum_order(3, 40), minimum_order(6, 40))
        )
        assert free < least < most


class TestDualSourcing:
    @pytest.mark.parametrize("near_lead_time", [0, 1])
    def test_without_capacities_it_is_fukudas(self, near_lead_time: int) -> None:
        found = dual_sourcing(DEMAND, near_lead_time, 1.0, 9.0, 2.0, 1.0)
        near, far, cost = dual_base_stock(DEMAND, near_lead_time, 1.0, 9.0, 2.0, 1.0, range(25))
        assert found.cost == pytest.approx(cost, abs=1e-6)
        at = far - int(found.table.states.axes[0][0])  # the position when nothing was sold
        assert (found.decisions[0][at - 12], found.decisions[1][at - 12]) == (12 - far + near, far - near)

    def test_a_capacity_is_a_cost_and_agrees_with_its_program(self) -> None:
        free = dual_sourcing(DEMAND, 0, 1.0, 9.0, 2.0, 1.0).cost
        tight = dual_sourcing(DEMAND, 0, 1.0, 9.0, 2.0, 1.0, near_capacity=1, far_capacity=3, lowest=-45)
        assert tight.cost > free + 0.05
        assert least_cost_by_program(tight.table) == pytest.approx(tight.cost, abs=PROGRAM)

    def test_at_equal_prices_the_near_supplier_suffices(self) -> None:
        found = dual_sourcing(DEMAND, 1, 1.0, 9.0, 1.0, 1.0)
        assert found.cost == pytest.approx(3.0 + newsvendor(total(DEMAND, 2), 1.0, 1.0, 9.0)[1], abs=1e-6)

    def test_a_dear_near_supplier_is_never_used(self) -> None:
        found = dual_sourcing(DEMAND, 1, 1.0, 9.0, 20.0, 1.0)
        assert found.cost == pytest.approx(3.0 + newsvendor(total(DEMAND, 3), 1.0, 1.0, 9.0)[1], abs=1e-6)


class TestRandomLeadTime:
    def test_the_table_by_age_is_the_newsvendor_over_lead_times(self) -> None:
        level, cost = newsvendor_over_lead_times(DEMAND, {1: 0.4, 2: 0.6}, 1.0, 9.0)
        found = one_or_two_periods(DEMAND, 0.4, 1.0, 9.0, "backlogged", 14, -25, 25)
        assert found.cost == pytest.approx(cost, abs=1e-5)
        orders = found.decisions[0]
        net, waiting = np.meshgrid(*found.table.states.axes, indexing="ij")
        often = (net + waiting > level - 12) & (net + waiting <= level) & (waiting < 8)
        assert orders[often].tolist() == (level - net - waiting)[often].tolist()

    @pytest.mark.parametrize("chance", [0.0, 1.0])
    def test_a_certain_lead_time_is_zipkins_store(self, chance: float) -> None:
        found = one_or_two_periods(DEMAND, chance, 1.0, 9.0, "lost", 10, 0, 22)
        assert found.cost == pytest.approx(zipkin(DEMAND, 2 - int(chance), 1.0, 9.0), abs=1e-6)

    def test_lost_sales_agree_with_their_program(self) -> None:
        demand = poisson(1.5, 1e-12)
        found = one_or_two_periods(demand, 0.4, 1.0, 9.0, "lost", 6, 0, 12)
        assert least_cost_by_program(found.table) == pytest.approx(found.cost, abs=PROGRAM)
        assert found.cost > zipkin(demand, 1, 1.0, 9.0) + 0.1


class TestPartialBacklog:
    def test_nothing_waits_is_the_lost_sales_store(self) -> None:
        found = one_period_late(DEMAND, 1.0, 5.0, 12.0, 0.0, 10, -12, 20, step=1.0)
        assert found.cost == pytest.approx(zipkin(DEMAND, 1, 1.0, 12.0), abs=1e-6)

    def test_everything_waits_is_the_backlogged_store(self) -> None:
        found = one_period_late(DEMAND, 1.0, 5.0, 12.0, 1.0, 15, -25, 20, step=1.0)
        assert found.cost == pytest.approx(newsvendor(total(DEMAND, 2), 1.0, 1.0, 5.0)[1], abs=1e-6)

    def test_the_grid_converges(self) -> None:
        coarse, fine = (one_period_late(DEMAND, 1.0, 5.0, 12.0, 0.5, 10, -12, 20, step).cost for step in (0.5, 0.25))
        assert 0 < coarse - fine < 1e-3  # sharing between points overstates a convex cost, by the step's square

    def test_the_table_agrees_with_its_program(self) -> None:
        found = one_period_late(DEMAND, 1.0, 5.0, 12.0, 0.5, 10, -12, 16, 0.5)
        assert least_cost_by_program(found.table) == pytest.approx(found.cost, abs=PROGRAM)

    def test_without_lead_time_the_ends_are_newsvendors(self) -> None:
        assert without_lead_time(DEMAND, 1.0, 5.0, 12.0, 0.0) == newsvendor(DEMAND, 1.0, 1.0, 12.0)
        assert without_lead_time(DEMAND, 1.0, 5.0, 12.0, 1.0) == newsvendor(DEMAND, 1.0, 1.0, 5.0)


class TestFillRate:
    @pytest.mark.parametrize("lead_time", [0, 1])
    @pytest.mark.parametrize("level", [4.0, 6.0, 8.0])
    def test_no_policy_meets_the_target_with_less_than_a_base_stock(self, level: float, lead_time: int) -> None:
        fill, on_hand = service_of(np.array([level]), DEMAND, 1.0, lead_time)
        found = least_stock_by_program(DEMAND, lead_time, float(fill[0]), -18, 15)
        assert found == pytest.approx(float(on_hand[0]), abs=1e-6)

    def test_the_level_is_found(self) -> None:
        fill, on_hand = service_of(np.array([7.0]), DEMAND, 1.0, 1)
        level, stock = least_base_stock(DEMAND, 1.0, 1, float(fill[0]))
        assert (level, stock) == (pytest.approx(7.0, abs=1e-6), pytest.approx(float(on_hand[0]), abs=1e-6))

    @pytest.mark.parametrize("lead_time", [1, 2])
    def test_the_price_is_what_a_unit_more_of_service_costs(self, lead_time: int) -> None:
        step, h = 0.01, 0.5
        demand = clipped_normal(5.0, 1.6, step)
        level, _ = least_base_stock(demand, step, lead_time, 0.95)
        _, more = least_base_stock(demand, step, lead_time, 0.951)
        _, less = least_base_stock(demand, step, lead_time, 0.949)
        price = price_of_service(level, demand, step, lead_time, h)
        mean = float(np.arange(len(demand)) @ demand) * step
        assert price == pytest.approx(h * (more - less) / (0.002 * mean), rel=2e-3)


class TestPerishable:
    def test_de_moor_and_others_first_in_first_out_table(self) -> None:
        """De Moor, Gijsbrechts, Boute (2022), figure 3: orders by fresh (rows) and last-period units (columns)."""
        demand = np.diff(gamma(4.0).cdf(np.concatenate([[0.0], np.arange(0.5, 40.0)])))
        table = perishable_table(demand / demand.sum(), 2, 1, 1.0, 5.0, 7.0, unit_cost=3.0, most=10)
        published = [
            [4, 4, 4, 4, 4, 4, 4, 4, 4],
            [4, 4, 3, 3, 3, 3, 3, 3, 3],
            [4, 3, 3, 3, 2, 2, 2, 2, 2],
            [3, 3, 2, 2, 1, 1, 1, 1, 1],
            [3, 2, 2, 1, 1, 1, 1, 0, 0],
            [2, 2, 1, 1, 0, 0, 0, 0, 0],
            [2, 1, 1, 0, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        assert discounted_decisions(table, 0.99)[0].T[:9, :9].tolist() == published

    @pytest.mark.parametrize(("shelf_life", "lead_time"), [(2, 0), (2, 1), (3, 0)])
    def test_tables_agree_with_their_programs(self, shelf_life: int, lead_time: int) -> None:
        found = perishable_store(DEMAND, shelf_life, lead_time, 1.0, 9.0, 4.0, 8)
        assert least_cost_by_program(found.table) == pytest.approx(found.cost, abs=PROGRAM)
        assert float(found.decisions[0].max()) < 8

    def test_a_single_period_of_life_is_a_newsvendor(self) -> None:
        found = perishable_store(DEMAND, 1, 1, 1.0, 9.0, 4.0, 12)
        assert found.cost == pytest.approx(one_period_life(DEMAND, 9.0, 4.0)[1], abs=1e-6)

    @pytest.mark.parametrize("lead_time", [0, 1])
    def test_a_life_longer_than_any_stock_lasts_is_the_lost_sales_store(self, lead_time: int) -> None:
        demand = np.array([0.0, 0.6, 0.3, 0.1])  # at least one unit a period: three units are gone in three periods
        found = perishable_store(demand, 4, lead_time, 1.0, 9.0, 4.0, 4)
        assert found.cost == pytest.approx(zipkin(demand, lead_time, 1.0, 9.0), abs=1e-6)


class TestCapacitatedLine:
    DEMAND = np.array([0.3, 0.3, 0.25, 0.15])

    def test_an_ample_capacity_is_clark_and_scarfs_line(self) -> None:
        cost = serial_line_of(self.DEMAND, 1.0, (1, 1), (1.0, 0.3), 9.0)[1]
        assert line(self.DEMAND, 0.3, 1.0, 9.0, capacity=5).cost == pytest.approx(cost, abs=1e-6)

    def test_a_tight_one_costs_and_agrees_with_its_program(self) -> None:
        ample, tight = (line(self.DEMAND, 0.3, 1.0, 9.0, capacity) for capacity in (3, 2))
        assert tight.cost > ample.cost + 0.05
        assert least_cost_by_program(tight.table) == pytest.approx(tight.cost, abs=PROGRAM)


def test_negative_binomial_is_scipys() -> None:
    chances: Floats = negative_binomial(3.0, 7.5)
    assert chances[:40] == pytest.approx(nbinom(3.0 * 0.4 / 0.6, 0.4).pmf(np.arange(40)), abs=1e-12)


def test_a_grid_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="grid is too small"):
        backlogged_store(DEMAND, 1, 1.0, 9.0, range(5), lowest=-3, highest=30)
