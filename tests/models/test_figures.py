"""Figures are checked when they are made; what every example draws is small, whole and true."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from models.fans import fan
from models.figures import (
    Band,
    Bar,
    Fact,
    Figure,
    Line,
    Link,
    Matrix,
    Network,
    Node,
    Schedule,
    Series,
    documents,
    largest,
    number,
    ribbons,
    shown,
)
from models.registry import problem, problems
from service.figures import FigureView

CASES = [
    pytest.param(owner, example, id=f"{owner.name}-{example.name}")
    for owner in problems().values()
    for example in owner.examples
]
MOST_BYTES = 1_000_000
MOST_SERIES = 66  # in a group
FORM = TypeAdapter(FigureView)


def drawn(name: str, example: str | dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The figures of an instance by key."""
    owner = problem(name)
    document = example
    if isinstance(example, str):
        document = next(own.document() for own in owner.examples if own.name == example)
    assert owner.draw is not None
    return {figure["key"]: figure for figure in documents(owner.draw(owner.parse(document)))}


def facts(figure: dict[str, Any], node: str) -> dict[str, Any]:
    """What a node says of itself, by label."""
    own = next(entry for entry in figure["nodes"] if entry["id"] == node)
    return {label: value for label, value, _ in own["facts"]}


class TestShapes:
    """A figure that does not hold together is refused by name."""

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: Network("n", "N", "c.", nodes=(Node("a", "a", "g"), Node("a", "a", "g"))), "same id"),
            (lambda: Network("n", "N", "c.", nodes=(Node("a", "a", "g"),), links=(Link("a", "b"),)), "not drawn"),
            (lambda: Matrix("m", "M", "c.", rows=("a",), columns=("b",), values=()), "0 rows of values"),
            (lambda: Matrix("m", "M", "c.", rows=("a",), columns=("b",), values=((1.0, 2.0),)), "1 columns"),
            (lambda: Series("s", "S", "c.", x=(0, 1), lines=(Line("l", (1.0,)),)), "1 values over 2 places"),
            (lambda: Series("s", "S", "c.", x=(0,), bands=(Band("b", (2.0,), (1.0,)),)), "lower end above"),
            (lambda: Series("s", "S", "c.", x=(0,), bands=(Band("b", (), ()),)), "does not cover"),
            (lambda: Schedule("g", "G", "c.", rows=("a",), bars=(Bar("b", "x", 0, 1),)), "no row"),
            (lambda: Schedule("g", "G", "c.", rows=("a",), bars=(Bar("a", "x", 1, 0),)), "before it begins"),
            (lambda: documents([Matrix("m", "M", "c."), Matrix("m", "M", "c.")]), "the key 'm'"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, make: Any, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            make()

    def test_numbers_keep_six_digits_and_must_be_finite(self) -> None:
        assert [number(1 / 3), number(2.0), number(123456789.0), number(None)] == [0.333333, 2, 123457000, None]
        with pytest.raises(ValueError, match="cannot be drawn"):
            number(float("nan"))

    def test_bands_are_nested_outer_first(self) -> None:
        bands = ribbons({0.5: [3.0], 0.25: [2.0], 0.75: [4.0], 0.95: [5.0], 0.05: [1.0]})
        assert [(band.name, band.lower, band.upper) for band in bands] == [
            ("5–95 %", (1.0,), (5.0,)),
            ("25–75 %", (2.0,), (4.0,)),
        ]

    def test_only_the_largest_are_kept_in_their_own_order_and_the_caption_says_so(self) -> None:
        assert largest(["a", "b", "c"], [1.0, 3.0, 2.0], 2) == ["b", "c"]
        assert shown("All.", 2, 3, "largest stores") == "All. The 2 largest stores of 3 are shown."
        assert shown("All.", 3, 3, "largest stores") == "All."

    def test_a_fan_follows_its_past(self) -> None:
        paths = np.arange(101.0)[:, None] + np.array([0.0, 1000.0])
        figure = fan("f", "F", "c.", paths, unit="units", x_title="period", past=[7.0, None])
        past, median, mean = figure.lines
        assert figure.x == (-2, -1, 0, 1)
        assert past.values == (7.0, None, None, None)
        assert median.values == mean.values == (None, None, 50.0, 1050.0)
        assert [band.upper for band in figure.bands] == [(None, None, 95.0, 1095.0), (None, None, 75.0, 1075.0)]


@pytest.mark.parametrize(("owner", "example"), CASES)
class TestEveryExample:
    """Whatever the problem."""

    def test_it_is_drawn_whole_small_and_in_words(self, owner: Any, example: Any) -> None:
        figures = documents(owner.draw(owner.parse(example.document())))
        assert figures
        assert len(json.dumps(figures, allow_nan=False)) < MOST_BYTES
        for figure in figures:
            FORM.validate_python(figure)
            assert figure["title"]
            assert figure["caption"].endswith(".")
            empty = {"network": "nodes", "matrix": "rows", "series": "lines", "schedule": "rows"}[figure["kind"]]
            assert figure[empty], figure["key"]
        grouped = [figure["group"] for figure in figures if figure["kind"] == "series" and figure["group"]]
        lines = [len(figure["lines"]) for figure in figures if figure["kind"] == "series" and figure["group"]]
        for group in set(grouped):
            assert sum(n for own, n in zip(grouped, lines, strict=True) if own == group) <= MOST_SERIES

    def test_it_is_drawn_alike_every_time(self, owner: Any, example: Any) -> None:
        instance = owner.parse(example.document())
        assert documents(owner.draw(instance)) == documents(owner.draw(instance))


class TestNetwork:
    """`fixed-costs-and-lots`, and a thousand stores."""

    def test_the_map_says_what_the_instance_says(self) -> None:
        owner = problem("inventory_network")
        net = owner.parse(next(e.document() for e in owner.examples if e.name == "fixed-costs-and-lots"))
        figure = drawn("inventory_network", "fixed-costs-and-lots")["network"]
        assert [node["id"] for node in figure["nodes"]] == [node.id for node in net.nodes]
        assert [(link["from"], link["to"]) for link in figure["links"]] == [
            (lane.source, lane.target) for lane in net.lanes
        ]
        tiers = {node["id"]: node["tier"] for node in figure["nodes"]}
        assert all(tiers[link["from"]] < tiers[link["to"]] for link in figure["links"])
        for lane, link in zip(net.lanes, figure["links"], strict=True):
            said = {label: value for label, value, _ in link["facts"]}
            assert said["Lead time"] == lane.lead_time
            assert said.get("Fixed order cost", 0) == lane.fixed_order_cost
        store = next(node for node in net.nodes if node.kind == "store")
        assert facts(figure, store.id)["Holding cost"] == store.holding_cost

    def test_the_fan_is_that_of_the_simulator(self) -> None:
        owner = problem("inventory_network")
        net = owner.parse(next(e.document() for e in owner.examples if e.name == "seasonal-with-shocks"))
        figure = drawn("inventory_network", "seasonal-with-shocks")["demand/north"]
        mean = next(line["values"] for line in figure["lines"] if line["name"] == "mean")
        simulator = owner.simulator(net)
        north = simulator.store_ids.index("north")
        expected = simulator.expected(1).demand[0, :, north].numpy()
        spread = simulator.sampler.moments_at(np.arange(net.periods))[1][:, north]
        assert len(mean) == net.periods
        assert np.all(np.abs(np.array(mean) - expected) < 5 * spread / np.sqrt(1024) + 1e-9)

    def test_history_stands_right_before_the_start(self) -> None:
        owner = problem("inventory_network")
        net = owner.parse(next(e.document() for e in owner.examples if e.name == "history-in-blocks"))
        figure = drawn("inventory_network", "history-in-blocks")["demand/market"]
        past = next(line["values"] for line in figure["lines"] if line["name"] == "past")
        column = net.demand.nodes.index("market")
        rows = [row[column] for row in net.demand.history]
        shift = net.demand.shift(net.timeline)
        before = [value for value in past if value is not None]
        assert before == pytest.approx(rows[max(shift - 120, 0) : shift], rel=1e-5)
        assert len(figure["x"]) - past[::-1].index(before[-1]) == min(shift, 120)

    def test_a_thousand_stores_stay_below_a_megabyte_and_say_what_is_shown(self) -> None:
        stores = [f"store-{k}" for k in range(1000)]
        nodes = [{"id": "plant", "kind": "supplier"}, {"id": "depot", "kind": "warehouse", "holding_cost": 1}]
        nodes += [{"id": store, "kind": "store", "holding_cost": 1, "shortage_cost": 9} for store in stores]
        lanes = [{"from": "plant", "to": "depot", "lead_time": 3}]
        lanes += [{"from": "depot", "to": store, "lead_time": 2, "unit_cost": 1} for store in stores]
        demand = {"process": "poisson", "nodes": {store: {"mean": 1 + k % 9} for k, store in enumerate(stores)}}
        document = {"problem": "inventory_network", "periods": 30, "nodes": nodes, "lanes": lanes, "demand": demand}
        figures = drawn("inventory_network", document)
        assert len(figures["network"]["nodes"]) == 1002
        assert len(json.dumps(list(figures.values()))) < MOST_BYTES
        stores_drawn = [key for key in figures if key.startswith("demand/")]
        assert len(stores_drawn) == 20
        assert all(
            figures[key]["caption"].endswith("The 20 stores with the largest demand of 1000 are shown.")
            for key in stores_drawn
        )
        assert all(int(key.rpartition("-")[2]) % 9 == 8 for key in stores_drawn)


class TestPlant:
    """`bottling` and `gearboxes`."""

    def test_rates_and_changeovers_are_the_plants(self) -> None:
        owner = problem("lot_sizing")
        plant = owner.parse(next(e.document() for e in owner.examples if e.name == "bottling"))
        figures = drawn("lot_sizing", "bottling")
        rates = figures["capabilities"]
        given = {(own.machine, own.item): own.production for own in plant.capabilities}
        for machine, row in zip(rates["rows"], rates["values"], strict=True):
            for item, value in zip(rates["columns"], row, strict=True):
                assert value == given.get((machine, item))
        change = plant.changeovers[0]
        table = figures[f"changeovers/{change.machine}"]
        row, column = table["rows"].index(change.source or "nothing"), table["columns"].index(change.target)
        assert table["values"][row][column] == change.cost

    def test_items_tell_their_demand_and_how_busy_it_keeps_their_machines(self) -> None:
        owner = problem("lot_sizing")
        plant = owner.parse(next(e.document() for e in owner.examples if e.name == "gearboxes"))
        figures = drawn("lot_sizing", "gearboxes")
        table = figures["items"]
        simulator = owner.simulator(plant)
        mean = simulator.expected(1).demand[0].mean(0).tolist()
        place = table["columns"].index("Mean demand [units/period]")
        assert [row[place] for row in table["values"]] == pytest.approx(mean, rel=1e-5)
        bill = figures["bill_of_materials"]
        tiers = {node["id"]: node["tier"] for node in bill["nodes"]}
        assert {(k["from"], k["to"]) for k in bill["links"]} == {
            (own.component, own.item) for own in plant.bill_of_materials
        }
        assert all(tiers[k["from"]] < tiers[k["to"]] for k in bill["links"])

    def test_the_fan_has_the_quantiles_of_the_demand(self) -> None:
        owner = problem("lot_sizing")
        plant = owner.parse(next(e.document() for e in owner.examples if e.name == "two-items-one-machine"))
        figure = drawn("lot_sizing", "two-items-one-machine")["demand/A"]
        own = next(item for item in plant.items if item.id == "A").demand.distributions(plant.periods)[0]
        cumulative = own.probabilities.cumsum()
        for band, low, up in zip(figure["bands"], (0.05, 0.25), (0.95, 0.75), strict=True):
            # A sampled quantile lies between the exact ones a little below and above.
            for values, level in ((band["lower"], low), (band["upper"], up)):
                least, most = (own.values[np.searchsorted(cumulative, level + d)] for d in (-0.04, 0.04))
                assert all(least <= value <= most for value in values)


class TestSystem:
    """`cascade_three` and `two_buses`."""

    def test_the_river_runs_down_the_cascade(self) -> None:
        owner = problem("hydrothermal")
        system = owner.parse(next(e.document() for e in owner.examples if e.name == "cascade_three"))
        figure = drawn("hydrothermal", "cascade_three")["cascade"]
        tiers = {node["id"]: node["tier"] for node in figure["nodes"]}
        ways = {(link["from"], link["to"]) for link in figure["links"]}
        for hydro in system.hydros:
            assert (hydro.id, hydro.turbine_downstream or "out of the system") in ways
            assert facts(figure, hydro.id)["Full"] == pytest.approx(hydro.storage_max_hm3, rel=1e-5)
        assert all(tiers[a] < tiers[b] for a, b in ways)

    def test_the_grid_ties_every_plant_to_its_bus(self) -> None:
        owner = problem("hydrothermal")
        system = owner.parse(next(e.document() for e in owner.examples if e.name == "two_buses"))
        figure = drawn("hydrothermal", "two_buses")["grid"]
        fed = {link["from"].partition(":")[2]: link["to"] for link in figure["links"] if link["group"] == "feeds"}
        assert fed == {plant.id: plant.bus for plant in (*system.hydros, *system.thermals, *system.renewables)}
        assert [(k["from"], k["to"]) for k in figure["links"] if k["group"] == "line"] == [
            (line.source, line.target) for line in system.lines
        ]

    def test_inflow_starts_with_the_stage_that_is_known_and_load_is_the_buses(self) -> None:
        owner = problem("hydrothermal")
        system = owner.parse(next(e.document() for e in owner.examples if e.name == "cascade_three"))
        figures = drawn("hydrothermal", "cascade_three")
        simulator = owner.simulator(system)
        means = simulator.inflows.means().numpy() / system.hm3_per_m3s
        for k, hydro in enumerate(simulator.layout.hydros):
            mean = next(line["values"] for line in figures[f"inflow/{hydro}"]["lines"] if line["name"] == "mean")
            assert mean == pytest.approx(means[: system.stages, k], rel=0.15, abs=1e-6)
        load = simulator.load.sum((1, 2)).numpy() / system.stage_hours
        total = np.sum([line["values"] for line in figures["load"]["lines"]], axis=0)
        stages = np.arange(system.stages) % len(load)
        assert total == pytest.approx(load[stages], rel=1e-5)


class TestProcess:
    """What describing costs."""

    def test_registries_and_figures_are_there_without_torch(self) -> None:
        code = (
            "import sys, models.figures\n"
            "from models.registry import problems\n"
            "assert all(problem.draw for problem in problems().values())\n"
            "print('torch' in sys.modules)\n"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout.split() == ["False"]


def test_a_fact_is_short() -> None:
    assert Fact("Lead time", 2.0, "periods").document() == ["Lead time", 2, "periods"]
    assert Fact("Unmet demand", "lost").document() == ["Unmet demand", "lost", ""]
    assert issubclass(Series, Figure)
