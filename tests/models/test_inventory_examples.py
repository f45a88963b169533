"""Published networks have the published parameters, whatever their size."""

from __future__ import annotations

import pytest

from models.inventory_network import PROBLEM
from models.inventory_network.examples import EXAMPLES, serial, serial_backlogged, transshipment, warehouse_stores

# As published for up to ten stores (arXiv 2306.11246 and its code); the first n are those of n stores.
MEAN = [3.743, 4.75, 4.555, 3.801, 6.852, 3.425, 2.598, 7.266, 5.902, 4.933]
STD = [1.765, 2.124, 1.622, 1.405, 1.714, 1.59, 0.879, 2.701, 2.127, 2.391]
HOLDING = [1.0856, 1.0232, 1.0071, 1.0662, 0.9958, 0.8287, 0.8464, 1.0433, 1.1636, 0.8864]
SHORTAGE = [10.2367, 9.3307, 6.9748, 8.447, 10.5191, 9.0594, 7.2865, 10.909, 11.459, 11.6148]
LEAD = [2, 5, 2, 4, 2, 3, 5, 3, 5, 3]


@pytest.mark.parametrize("stores", [3, 10, 30])
def test_stores_have_the_published_parameters(stores):
    net = PROBLEM.parse(warehouse_stores(stores))
    nodes = [node for node in net.nodes if node.kind == "store"]
    some = slice(min(stores, 10))
    assert len(nodes) == stores
    assert [node.mean for node in net.demand.nodes.values()][some] == pytest.approx(MEAN[:stores])
    assert [node.std for node in net.demand.nodes.values()][some] == pytest.approx(STD[:stores])
    assert [node.holding_cost for node in nodes][some] == pytest.approx(HOLDING[:stores], abs=5e-5)
    assert [node.shortage_cost for node in nodes][some] == pytest.approx(SHORTAGE[:stores], abs=5e-5)
    assert [lane.lead_time for lane in net.lanes if lane.source == "warehouse"][some] == LEAD[:stores]
    assert (net.demand.correlation, net.lanes[0].lead_time) == (0.5, 3)


def test_goods_pass_to_stores_that_are_alike_but_for_demand():
    net = PROBLEM.parse(transshipment(5, correlation=0.0, shortage_cost=4.0, lead_time=2))
    assert {
        (node.holding_cost, node.shortage_cost, node.unmet_demand) for node in net.nodes if node.kind == "store"
    } == {(1.0, 4.0, "backlogged")}
    assert [lane.lead_time for lane in net.lanes] == [3, 2, 2, 2, 2, 2]


def test_a_line_of_any_length():
    net = PROBLEM.parse(serial([4, 3, 2, 3, 1, 4, 2], [1, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1]))
    assert [(lane.source, lane.target) for lane in net.lanes][::6] == [
        ("echelon-2", "store"),
        ("supplier", "echelon-7"),
    ]
    assert [lane.lead_time for lane in net.lanes] == [4, 3, 2, 3, 1, 4, 2]
    assert serial_backlogged()["lanes"] == serial([4, 3, 4, 2], [1, 0.5, 0.2, 0.1])["lanes"]
    with pytest.raises(ValueError, match="shorter"):
        serial([1, 2], [1.0])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_no_example_is_strained(example):
    assert [issue for issue in PROBLEM.parse(example.document()).rules() if issue.severity == "warning"] == []


def test_the_examples_show_every_demand_process():
    shown = {PROBLEM.parse(example.document()).demand.process for example in EXAMPLES}
    assert shown == {"poisson", "normal", "negative_binomial", "seasonal", "intermittent", "empirical"}
