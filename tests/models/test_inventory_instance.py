"""What an inventory network must be: every rule refuses with the field it is about."""

import copy
import sys

import pytest

from models.core import InvalidInput
from models.inventory_network import PROBLEM
from tests.models.named_networks import EXAMPLES, diamond


def changed(path: list, value) -> dict:
    """The dc-two-stores example with one place changed."""
    document = copy.deepcopy(EXAMPLES["dc-two-stores"]())
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


PROBABILITIES = "/lanes/1/random_lead_time/probabilities"
REFUSED = [
    (["nodes", 1, "holding_cost"], -0.1, "/nodes/1/holding_cost"),
    (["nodes", 2, "shortage_cost"], float("nan"), "/nodes/2/shortage_cost"),
    (["nodes", 2, "shortage_cost"], float("inf"), "/nodes/2/shortage_cost"),
    (["nodes", 2, "shortage_cost"], "9", "/nodes/2/shortage_cost"),
    (["nodes", 2, "colour"], "red", "/nodes/2/colour"),
    (["nodes", 2, "id"], "s2", "/nodes/3/id"),
    (["nodes", 2, "price"], 4.0, "/nodes/2/price"),
    (["nodes", 0, "initial_on_hand"], 3, "/nodes/0/initial_on_hand"),
    (["nodes", 2, "initial_on_hand"], -3, "/nodes/2/initial_on_hand"),
    (["nodes", 2, "storage_capacity"], 5, "/nodes/2/initial_on_hand"),
    (["lanes", 1, "lead_time"], 51, "/lanes/1/lead_time"),
    (["lanes", 1, "lead_time"], 2.5, "/lanes/1/lead_time"),
    (["lanes", 1, "from"], "nowhere", "/lanes/1/from"),
    (["lanes", 1, "to"], "plant", "/lanes/1/to"),
    (["lanes", 1, "initial_in_transit"], [1, 2], "/lanes/1/initial_in_transit"),
    (["lanes", 1], {"from": "dc", "to": "s2", "lead_time": 1}, "/lanes/2"),
    (["lanes", 0], {"from": "s1", "to": "dc", "lead_time": 1}, "/lanes"),
    (["lanes", 2, "from"], "s2", "/lanes"),
    (["warmup_periods"], 50, "/warmup_periods"),
    (["objective"], "profit", "/objective"),
    (["demand", "correlation"], 1.5, "/demand/correlation"),
    (["demand", "nodes", "s3"], {"mean": 1, "std": 1}, "/demand/nodes/s3"),
    (["demand", "nodes", "dc"], {"mean": 1, "std": 1}, "/demand/nodes/dc"),
    (["demand", "nodes", "s1"], ..., "/nodes/2"),
    (["demand", "clip_at_zero"], False, "/demand/clip_at_zero"),
    (["demand", "process"], "magic", "/demand"),
    (["periods"], 0, "/periods"),
    (["name"], "../etc", "/name"),
    (["start_date"], "2026-02-30", "/start_date"),
    (["start_date"], "1 May", "/start_date"),
    (["period_days"], 0, "/period_days"),
    (["nodes", 2, "backlog_share"], 0.5, "/nodes/2/backlog_share"),
    (["nodes", 2, "lost_sales_cost"], 0.5, "/nodes/2/lost_sales_cost"),
    (["nodes", 2, "unmet_demand"], "partial", "/nodes/2/backlog_share"),
    (["nodes", 2, "fill_rate_target"], 1.0, "/nodes/2/fill_rate_target"),
    (["nodes", 1, "fill_rate_target"], 0.9, "/nodes/1/fill_rate_target"),
    (["nodes", 1, "shelf_life"], 3, "/nodes/1/shelf_life"),
    (["nodes", 2, "shelf_life"], 0, "/nodes/2/shelf_life"),
    (["nodes", 2, "outdate_cost"], 1.0, "/nodes/2/outdate_cost"),
    (["nodes", 2, "initial_expiring"], [1.0], "/nodes/2/initial_expiring"),
    (["lanes", 1, "fixed_order_cost"], -1.0, "/lanes/1/fixed_order_cost"),
    (["lanes", 1, "lot_multiple"], 0.0, "/lanes/1/lot_multiple"),
    (["lanes", 1, "random_lead_time"], {"values": [1, 2], "probabilities": [0.5, 0.4]}, PROBABILITIES),
    (["lanes", 1, "random_lead_time"], {"values": [1, 2], "probabilities": [1.0]}, PROBABILITIES),
    (
        ["lanes", 1, "random_lead_time"],
        {"values": [2, 1], "probabilities": [0.5, 0.5]},
        "/lanes/1/random_lead_time/values",
    ),
    (["lanes", 1, "random_lead_time"], {"values": [1, 3], "probabilities": [0.5, 0.5]}, "/lanes/1/lead_time"),
    (
        ["lanes", 1, "random_lead_time"],
        {"values": [0, 2], "probabilities": [0.5, 0.5]},
        "/lanes/1/random_lead_time/values/0",
    ),
]


@pytest.mark.parametrize(("path", "value", "where"), REFUSED)
def test_a_broken_rule_names_its_field(path, value, where):
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(changed(path, value))
    pointers = [issue.pointer for issue in caught.value.issues]
    assert where in pointers, pointers
    assert all(issue.detail for issue in caught.value.issues)


@pytest.mark.parametrize(
    ("places", "where"),
    [
        ({("lanes", 1): {"minimum_order": 10.0, "lot_multiple": 4.0}}, "/lanes/1/minimum_order"),
        ({("lanes", 1): {"minimum_order": 10.0, "capacity": 9.0}}, "/lanes/1/minimum_order"),
        ({("lanes", 1): {"lot_multiple": 10.0, "capacity": 9.0}}, "/lanes/1/lot_multiple"),
        ({("lanes", 1): {"minimum_order": 10.0}, ("nodes", 1): {"throughput_capacity": 9.0}}, "/lanes/1/minimum_order"),
        ({("lanes", 1): {"minimum_order": 30.0}, ("nodes", 2): {"storage_capacity": 29.0}}, "/lanes/1/minimum_order"),
        ({("lanes", 1): {"lot_multiple": 2.5}, (): {"integer_orders": True}}, "/lanes/1/lot_multiple"),
        ({("lanes", 1): {"minimum_order": 2.5}, (): {"integer_orders": True}}, "/lanes/1/minimum_order"),
        ({("nodes", 2): {"shelf_life": 2, "initial_expiring": [1.0, 1.0]}}, "/nodes/2/initial_expiring"),
        ({("nodes", 2): {"shelf_life": 3, "initial_expiring": [6.0, 6.0]}}, "/nodes/2/initial_expiring"),
        ({("lanes", 2): {"from": "s1"}, ("nodes", 2): {"shelf_life": 3}}, "/nodes/2/shelf_life"),
        (
            {
                ("lanes", 1): {"random_lead_time": {"values": [1, 2], "probabilities": [0.5, 0.5]}},
                (): {"receipt": "after_decision"},
            },
            "/lanes/1/random_lead_time",
        ),
    ],
)
def test_rules_that_do_not_fit_each_other_are_refused_with_the_field(places, where):
    document = EXAMPLES["dc-two-stores"]()
    for path, fields in places.items():
        place = document
        for key in path:
            place = place[key]
        place |= fields
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(document)
    assert [issue.pointer for issue in caught.value.issues] == [where]
    assert all(issue.detail for issue in caught.value.issues)


def test_a_cycle_is_refused():
    document = diamond()
    document["lanes"].append({"from": "west", "to": "hub", "lead_time": 1})
    with pytest.raises(InvalidInput, match="cycle"):
        PROBLEM.parse(document)


def test_a_store_no_supplier_reaches_is_refused():
    document = changed(["lanes"], [lane for lane in EXAMPLES["dc-two-stores"]()["lanes"] if lane["to"] != "s2"])
    with pytest.raises(InvalidInput, match="no lane from a supplier reaches 's2'"):
        PROBLEM.parse(document)


def test_a_short_history_row_is_refused_with_its_row():
    document = EXAMPLES["capacitated-two-suppliers"]()
    document["demand"]["history"][7] = [1]
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(document)
    assert caught.value.issues[0].pointer == "/demand/history/7"


def test_a_short_history_is_accepted_with_a_warning():
    document = EXAMPLES["capacitated-two-suppliers"]()
    document["demand"]["history"] = document["demand"]["history"][:12]
    warnings = [issue for issue in PROBLEM.parse(document).rules() if issue.severity == "warning"]
    assert [issue.pointer for issue in warnings] == ["/demand/history"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_valid_and_round_trips(name):
    net = PROBLEM.parse(EXAMPLES[name]())
    assert PROBLEM.parse(net.document()).digest == net.digest
    assert net.name == name or name.startswith(("one-store", "serial"))


def test_the_digest_does_not_depend_on_key_order_or_defaults_written_out():
    document = EXAMPLES["dc-two-stores"]()
    reordered = dict(reversed(list(document.items()))) | {"integer_orders": False}
    assert PROBLEM.parse(document).digest == PROBLEM.parse(reordered).digest


def test_the_registry_needs_no_torch():
    import subprocess

    code = "import sys, models.registry, solvers.registry; print('torch' in sys.modules, 'pyomo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
