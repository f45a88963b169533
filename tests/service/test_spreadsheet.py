"""Files for spreadsheets: recommendations and evaluations as CSV and Excel workbooks, in which text stays text."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import openpyxl
import pytest

from service import spreadsheet
from service.db.rows import EvaluationRow
from service.ids import new_id
from service.spreadsheet import CSV, XLSX, Sheet
from tests.service.api_server import Server

HARMFUL = ["=1+1", "+1", "-x", "@SUM(A1)", "\tx", "\rx"]


def read(content: bytes) -> dict[str, list[list[Any]]]:
    """Sheet → rows of a workbook, formulas shown as such."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    return {page.title: [[cell.value for cell in row] for row in page.iter_rows()] for page in book}


class TestText:
    @pytest.mark.parametrize("text", HARMFUL)
    def test_no_cell_of_a_csv_file_is_a_formula(self, text: str) -> None:
        found = spreadsheet.as_csv(Sheet("t", [text], [[text, -1.5, None, True]])).decode()
        rows = list(csv.reader(io.StringIO(found, newline="")))
        assert rows == [["'" + text], ["'" + text, "-1.5", "", "true"]]

    @pytest.mark.parametrize("text", HARMFUL[:4])
    def test_no_cell_of_a_workbook_is_a_formula(self, text: str) -> None:
        content = spreadsheet.as_workbook([Sheet("t", ["a"], [[text, -1.5, None, True]])])
        page = openpyxl.load_workbook(io.BytesIO(content)).active
        assert page is not None
        assert [(cell.value, cell.data_type) for cell in page[2]] == [
            (text, "s"),
            (-1.5, "n"),
            (None, "n"),
            (True, "b"),
        ]

    def test_links_and_numbers_in_words_stay_words(self) -> None:
        content = spreadsheet.as_workbook([Sheet("t", ["a"], [["http://example.org", "007"]])])
        assert read(content)["t"][1] == ["http://example.org", "007"]

    def test_records_with_different_keys_share_a_table(self) -> None:
        sheet = Sheet.of_records("t", [{"a": 1}, {"b": 2, "a": 3}])
        assert (sheet.heads, sheet.rows) == (["a", "b"], [[1, None], [3, 2]])


class TestRecommendations:
    def test_a_workbook_has_the_lines_and_where_they_come_from(self, client: httpx.Client, policy_id: str) -> None:
        place = f"/v1/policies/{policy_id}/recommend"
        answer = client.post(place, json={}, headers={"Accept": XLSX})
        assert answer.headers["Content-Type"] == XLSX
        sheets = read(answer.content)
        lines = client.post(place, json={}, headers={"Accept": CSV}).text.splitlines()
        assert len(sheets["decision"]) == len(lines)
        about = dict(sheets["about"])
        assert (about["policy"], about["policy id"]) == ("orders:1", policy_id)
        kept = f"/v1/recommendations/{about['recommendation']}"
        assert read(client.get(kept, headers={"Accept": XLSX}).content) == sheets

    def test_a_kept_one_is_told_again_as_it_was(self, client: httpx.Client, policy_id: str, today: Any) -> None:
        asked = client.post(f"/v1/policies/{policy_id}/recommend", json={"states": [today, today]}).json()
        kept = f"/v1/recommendations/{asked['recommendation_id']}"
        text = client.get(kept, headers={"Accept": CSV}).text
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert rows[0][0] == "state"
        assert {row[0] for row in rows[1:]} == {"0", "1"}
        assert client.get(kept, headers={"Accept": "text/html"}).status_code == 406

    def test_columns_are_for_programs(self, client: httpx.Client, policy_id: str, today: dict[str, Any]) -> None:
        columns = {"on_hand": {node: [stock] for node, stock in today["on_hand"].items()}}
        answer = client.post(f"/v1/policies/{policy_id}/recommend", json={"states": columns})
        kept = f"/v1/recommendations/{answer.json()['recommendation_id']}"
        assert client.get(kept, headers={"Accept": XLSX}).status_code == 406


class TestEvaluations:
    DOCUMENT: dict[str, Any] = {  # noqa: RUF012
        "scenarios": 64,
        "scenario_seed": 3,
        "policy_ids": {"north:1": "pol_1"},
        "policies": [
            {
                "name": "north:1",
                "mean_cost": 10.0,
                "mean_cost_per_stage": 1.0,
                "standard_error": 0.1,
                "ci95": [9.8, 10.2],
                "components": {"holding": 4.0},
                "service": {"fill_rate": 0.97},
                "places": {"a": {"holding": 4.0}},
                "distribution": {"quantiles": {"q50": 9.5}},
            },
            {"name": "base_stock", "mean_cost": 12.0, "paired_difference": {"mean": 2.0, "ci95": [1.5, 2.5]}},
        ],
        "pairs": [{"policy": "north:1", "other": "base_stock", "mean": 2.0, "ci95": [1.5, 2.5], "wins": 0.9}],
        "bounds": [{"kind": "perfect_information", "value": 8.0, "details": {}}],
        "bound_note": None,
    }
    PATHS: dict[str, Any] = {"north:1": {"cost": {"q50": [1.0, 2.0], "samples": [[1.0, 2.0]]}}}  # noqa: RUF012

    @pytest.fixture
    def place(self, api: Server, client: httpx.Client, policy_id: str) -> str:
        instance_id = client.get(f"/v1/policies/{policy_id}").json()["instance_id"]
        row = EvaluationRow(id=new_id("evl"), instance_id=instance_id, body=self.DOCUMENT, paths=self.PATHS)
        with api.database.write() as session:
            session.add(row)
        return f"/v1/evaluations/{row.id}"

    def test_policies_are_a_table(self, client: httpx.Client, place: str) -> None:
        text = client.get(place, headers={"Accept": CSV}).text
        first, second = csv.DictReader(io.StringIO(text, newline=""))
        assert (first["policy"], first["ci95 to"], first["holding [cost]"]) == ("north:1", "10.2", "4.0")
        assert (first["fill_rate"], first["cost q50"], first["more than the first"]) == ("0.97", "9.5", "")
        assert (second["policy"], second["more from"]) == ("base_stock", "1.5")

    def test_a_workbook_has_all_tables(self, client: httpx.Client, place: str) -> None:
        sheets = read(client.get(place, headers={"Accept": XLSX}).content)
        assert list(sheets) == ["policies", "pairs", "bounds", "places", "paths", "about"]
        assert sheets["pairs"][1] == ["north:1", "base_stock", 2, 1.5, 2.5, 0.9]
        assert sheets["paths"] == [
            ["policy", "quantity", "stage", "q50"],
            ["north:1", "cost", 0, 1],
            ["north:1", "cost", 1, 2],
        ]
        assert ["id of north:1", "pol_1"] in sheets["about"]

    def test_json_is_what_comes_unasked(self, client: httpx.Client, place: str) -> None:
        assert client.get(place).json()["document"] == self.DOCUMENT
        assert client.get(place, headers={"Accept": "image/png"}).status_code == 406
