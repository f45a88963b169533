"""Published settings become plants; what does not fit is refused by the field of the file."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from models.core import InvalidInput
from models.lot_sizing import PROBLEM
from models.lot_sizing.instance import LotSizing
from models.lot_sizing.planner.importers import read_settings
from models.lot_sizing.simulator import LotSimulator

SETTING: dict[str, Any] = {
    "time_horizon": 12,
    "n_items": 3,
    "n_machines": 2,
    "initial_setup": [3, 0],
    "machine_production": [[4, 0, 5], [0, 6, 0]],
    "max_inventory_level": [10, 20, 30],
    "initial_inventory": [1, 2, 3],
    "holding_costs": [0.1, 0.2, 0.3],
    "lost_sales_costs": [1, 2, 3],
    "demand_distribution": {"name": "binomial", "n": 4, "p": 0.4},
    "setup_costs": [[1, 0, 2], [0, 3, 0]],
    "setup_loss": [[1, 0, 1], [0, 2, 0]],
}
ALL = pytest.mark.skipif("HERENOW_CASE_DATA" not in os.environ, reason="needs the published settings")


def imported(change: dict[str, Any] | None = None, **options: str) -> dict[str, Any]:
    content = json.dumps(copy.deepcopy(SETTING) | (change or {})).encode()
    return read_settings({"settings": content}, options)


def test_every_field_finds_its_place() -> None:
    document = imported(initial_state="given", name="three-items")
    plant = PROBLEM.parse(document)
    assert isinstance(plant, LotSizing)
    assert (plant.name, plant.periods, plant.initial_state) == ("three-items", 12, "given")
    last = plant.items[2]
    assert (last.id, last.holding_cost, last.lost_sales_cost) == ("item-3", 0.3, 3.0)
    assert (last.inventory_max, last.initial_inventory) == (30.0, 3.0)
    assert [machine.initial_setup for machine in plant.machines] == ["item-3", None]
    able = [(line.machine, line.item, line.production, line.setup_cost, line.setup_loss) for line in plant.capabilities]
    assert able == [
        ("machine-1", "item-1", 4.0, 1.0, 1.0),
        ("machine-1", "item-3", 5.0, 2.0, 1.0),
        ("machine-2", "item-2", 6.0, 3.0, 2.0),
    ]


def test_the_start_is_drawn_unless_the_files_own_is_asked_for() -> None:
    document = imported()
    assert document["initial_state"] == "random"
    assert PROBLEM.parse(document).num_stages == 12
    assert imported(periods="40")["periods"] == 40


def test_every_item_may_have_a_distribution_of_its_own() -> None:
    pmf = {"name": "probability_mass_function", "vals": [0, 2], "probs": [0.25, 0.75]}
    many = {"name": "item_specific_uniform", "distributions": [pmf, {"name": "binomial", "n": 2, "p": 0.5}, pmf]}
    plant = PROBLEM.parse(imported({"demand_distribution": many}))
    assert isinstance(plant, LotSizing)
    assert LotSimulator(plant).tables.means[0].tolist() == pytest.approx([1.5, 1.0, 1.5])


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"n_items": 0}, "/settings/n_items", "1 to 1000"),
        ({"n_items": 4}, "/settings/machine_production/0", "list of 4 numbers"),
        ({"n_machines": True}, "/settings/n_machines", "whole number"),
        ({"machine_production": [[4, 0, 5]]}, "/settings/machine_production", "2 rows"),
        ({"machine_production": [[4, 0, "5"], [0, 6, 0]]}, "/settings/machine_production/0/2", "number"),
        ({"holding_costs": [0.1, -1, 0]}, "/settings/holding_costs/1", "from 0"),
        ({"lost_sales_costs": [1, 2, 1e400]}, "/settings/lost_sales_costs/2", "number"),
        ({"demand_distribution": {"name": "zipf"}}, "/settings/demand_distribution/name", "is not binomial"),
        ({"demand_distribution": {"name": "binomial", "n": 4.5, "p": 0.4}}, "/settings/demand_distribution/n", "whole"),
        ({"demand_distribution": {"name": "binomial", "n": 4}}, "/settings/demand_distribution/p", "number"),
        ({"demand_distribution": []}, "/settings/demand_distribution/name", "is not binomial"),
        ({"initial_setup": [4, 0]}, "/settings/initial_setup/0", "1 to 3"),
        ({"time_horizon": 0.5}, "/settings/time_horizon", "whole number"),
        ({"setup_loss": 3}, "/settings/setup_loss", "2 rows"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_field(change: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        imported(change, initial_state="given")
    (issue,) = caught.value.issues
    assert issue.pointer == where
    assert said in issue.detail


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({"settings": content}, {})
    assert caught.value.issues[0].pointer == "/settings"


def test_missing_fields_and_wrong_options_are_refused() -> None:
    with pytest.raises(InvalidInput, match="is missing"):
        read_settings({"settings": b"{}"}, {})
    for option in ({"initial_state": "empty"}, {"periods": "-3"}, {"periods": "ten"}):
        with pytest.raises(InvalidInput) as caught:
            imported(**option)
        assert caught.value.issues[0].pointer == f"/{next(iter(option))}"


def test_a_setup_that_the_machine_cannot_make_is_refused_by_the_plants_rules() -> None:
    with pytest.raises(InvalidInput) as caught:
        PROBLEM.parse(imported({"initial_setup": [2, 0]}, initial_state="given"))
    assert caught.value.issues[0].pointer == "/machines/0/initial_setup"


@ALL
@pytest.mark.parametrize(
    ("file", "items", "machines"),
    [("2items_VI_binomial_1", 2, 1), ("15items_5machines_t100_i100", 15, 5), ("25items_15machines_t100_i100", 25, 15)],
)
def test_published_settings_are_read(file: str, items: int, machines: int) -> None:
    content = (Path(os.environ["HERENOW_CASE_DATA"]) / "lot_sizing" / f"{file}.json").read_bytes()
    plant = PROBLEM.parse(read_settings({"settings": content}, {}))
    assert isinstance(plant, LotSizing)
    assert (len(plant.items), len(plant.machines), plant.periods) == (items, machines, 100)
