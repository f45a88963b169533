"""`herenow import` and states from files: CSV in, an instance or a decision out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.registry import problems
from solvers.artifact import PolicyArtifact, folder_of
from solvers.registry import solvers
from tests.cli.terminal import say, say_json
from tests.models.test_lot_importers import SETTING

NETWORK = {
    "problem": "inventory_network",
    "name": "corner",
    "periods": 20,
    "warmup_periods": 5,
    "nodes": [
        {"id": "plant", "kind": "supplier"},
        {"id": "shop", "kind": "store", "holding_cost": 1, "shortage_cost": 9, "initial_on_hand": 8},
    ],
    "lanes": [{"from": "plant", "to": "shop", "lead_time": 2}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "network.json").write_text(json.dumps(NETWORK))
    rows = "\n".join(f"2026-01-{day:02},{day % 5}" for day in range(1, 31))
    (tmp_path / "history.csv").write_text(f"date,shop\n{rows}\n")
    (tmp_path / "stock.csv").write_text("node;on_hand\nshop;3,5\n")
    (tmp_path / "transit.csv").write_text("from,to,quantity,arrives_in\nplant,shop,2,1\n")
    return tmp_path


def imported(folder: Path) -> dict[str, Any]:
    words = [f"instance={folder}/network.json", f"history={folder}/history.csv"]
    document: dict[str, Any] = say_json("import", "csv", *words)
    return document


def test_formats_are_listed_with_their_parts() -> None:
    items = {item["format"]: item for item in say_json("import")["items"]}
    assert "history?" in items["csv"]["files"]
    assert "csv" in say("import").stdout


def test_csv_becomes_an_instance(folder: Path) -> None:
    document = imported(folder)
    assert document["demand"]["history"][:3] == [[1.0], [2.0], [3.0]]
    assert document["start_date"] == "2026-01-31"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["papyrus"], "FORMAT"),
        (["csv"], "instance"),
        (["csv", "instance=network.json", "instance=network.json"], "instance"),
        (["csv", "instance=network.json", "weather=rain"], "weather"),
        (["csv", "instance"], "name=value"),
        (["csv", "instance=nowhere.json"], "nowhere.json"),
    ],
)
def test_a_wrong_part_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(folder)
    result = say("import", *words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wrong_cell_is_named_by_line_and_column(folder: Path) -> None:
    (folder / "history.csv").write_text("date,shop\n2026-01-01,4\n2026-01-02,=1+1\n")
    result = say("import", "csv", f"instance={folder}/network.json", f"history={folder}/history.csv")
    assert result.exit_code == 2
    assert "history" in result.stderr
    assert "line 3" in result.stderr.replace("\n", " ")


class TestStatesFromFiles:
    @pytest.fixture
    def artifact(self, folder: Path) -> str:
        problem, solver = problems()["inventory_network"], solvers()["hdpo"]
        instance = problem.parse(imported(folder))
        assert solver.build is not None
        policy = solver.build(problem, instance, solver.config(), "base_stock")
        artifact = PolicyArtifact(
            problem=problem.name,
            solver="hdpo",
            family="base_stock",
            config=solver.config().model_dump(mode="json"),
            seed=1,
            instance=instance.document(),
            weights=policy.state_dict(),
            training_range={},
            certificate={},
            description={},
            curve=[],
            training={},
        )
        return str(folder_of(folder / "artifacts", artifact.save(folder / "artifacts")))

    def test_files_say_the_same_as_a_state(self, folder: Path, artifact: str) -> None:
        files = ["--file", f"on_hand={folder}/stock.csv", "--file", f"in_transit={folder}/transit.csv"]
        of_files = say_json("recommend", artifact, *files, "--option", "date=2026-02-02")
        line = {"from": "plant", "to": "shop", "arrives_in": 1, "quantity": 2}
        state = {"date": "2026-02-02", "on_hand": {"shop": 3.5}, "in_transit": [line]}
        of_state = say_json("recommend", artifact, "--state", "-", stdin=json.dumps(state))
        assert of_files["decision"] == of_state["decision"]
        assert of_files["decision"]["orders"][0]["arrives_on"] == "2026-02-04"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--file", "moon=stock.csv"], "moon"),
            (["--file", "on_hand=stock.csv", "--option", "period=soon"], "period"),
            (["--file", "on_hand=stock.csv", "--option", "colour=red"], "colour"),
            (["--file", "on_hand=stock.csv", "--state", "network.json"], "not both"),
            (["--file", "on_hand=transit.csv"], "node"),
        ],
    )
    def test_a_wrong_file_is_named(
        self, folder: Path, artifact: str, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
    ) -> None:
        monkeypatch.chdir(folder)
        result = say("recommend", artifact, *words)
        assert result.exit_code == 2
        assert said in result.stderr


def test_a_published_setting_becomes_a_plant(tmp_path: Path) -> None:
    (tmp_path / "setting.json").write_text(json.dumps(SETTING))
    document = say_json("import", "published_json", f"settings={tmp_path}/setting.json", "name=small")
    assert (document["problem"], document["name"], document["initial_state"]) == ("lot_sizing", "small", "random")
    (tmp_path / "setting.json").write_text(json.dumps(SETTING | {"n_machines": 3}))
    refused = say("import", "published_json", f"settings={tmp_path}/setting.json")
    assert refused.exit_code != 0
    assert "/settings/machine_production" in refused.stdout + refused.stderr
