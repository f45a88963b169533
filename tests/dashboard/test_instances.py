"""Instances in the browser: found, made, changed, drawn, deleted; nothing typed is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.service.api_server import Server, make_settings, running

EVERY_PROBLEM = [
    ("inventory_network", "dc-two-stores"),
    ("lot_sizing", "bottling"),
    ("hydrothermal", "cascade_three"),
]


def example(problem: str, name: str, site: Server) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{site.url}/v1/problems/{problem}/examples/{name}").json()
    return document


def stored(site: Server, problem: str, name: str, called: str) -> str:
    """An example stored over the API under another name; its id."""
    document = example(problem, name, site) | {"name": called}
    instance_id: str = httpx.post(f"{site.url}/v1/instances", json=document).json()["id"]
    return instance_id


def cell(page: Page, row: int, field: str) -> Locator:
    return page.locator(f'.ag-row[row-index="{row}"] [col-id="of {field}"]')


def write(page: Page, row: int, field: str, text: str) -> None:
    """Type into a cell of the grid."""
    cell(page, row, field).dblclick()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


class TestList:
    def test_instances_are_found_by_name_and_problem(self, page: Page, site: Server) -> None:
        stored(site, "inventory_network", "dc-two-stores", "north-a")
        stored(site, "lot_sizing", "bottling", "north-b")
        page.goto("/#/instances")
        page.get_by_label("Search by name").fill("north")
        rows = page.locator("main tbody tr")
        expect(rows).to_have_count(2)
        page.get_by_label("Problem").select_option(label="Lot sizing")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("north-b")
        page.get_by_label("Search by name").fill("no such")
        expect(page.get_by_text("No instance is called that.")).to_be_visible()

    def test_long_lists_go_on(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            document = example("inventory_network", "one-store-lost", server)
            for i in range(53):
                httpx.post(f"{server.url}/v1/instances", json=document | {"name": f"n{i}"})
            page.goto("/#/instances")
            expect(page.locator("main tbody tr")).to_have_count(50)
            page.get_by_role("button", name="Show more").click()
            expect(page.locator("main tbody tr")).to_have_count(53)

    def test_it_is_accessible(self, page: Page, axe: Callable[[Page], None]) -> None:
        page.goto("/#/instances")
        settle(page)
        axe(page)


class TestNew:
    @pytest.mark.parametrize(("problem", "name"), EVERY_PROBLEM)
    def test_an_example_becomes_an_instance_that_is_drawn(self, page: Page, problem: str, name: str) -> None:
        page.goto(f"/#/instances/new?problem={problem}")
        page.locator("li.card", has_text=name).get_by_role("button", name="Create").click()
        expect(page.locator("main h1")).to_have_text(name.replace("_", "-"))
        expect(page.locator("figure").first).to_be_visible()
        settle(page)
        assert page.locator("figure h2").count() >= 2
        page.get_by_role("tab", name="Data").click()
        expect(page.locator(".ag-row").first).to_be_visible()
        page.get_by_role("tab", name="Solvers").click()
        expect(page.get_by_role("heading", name="Solvers that do not, and why")).to_be_visible()
        expect(
            page.locator("section", has_text="Solvers that do not").locator("tbody td:nth-child(2)").first
        ).not_to_be_empty()
        page.get_by_role("tab", name="Policies").click()
        expect(page.locator("main")).to_contain_text(re.compile("Train a policy|Version"))

    def test_a_file_opens_in_the_editor_with_its_faults(self, page: Page, site: Server, tmp_path: Path) -> None:
        document = example("inventory_network", "dc-two-stores", site)
        document["lanes"][1]["lead_time"] = -1
        path = tmp_path / "my.json"
        path.write_text(json.dumps(document))
        page.goto("/#/instances/new?tab=file")
        page.locator("#json-file").set_input_files(path)
        expect(page.get_by_text("1 to correct")).to_be_visible()
        page.get_by_role("button", name="lanes, row 2, lead time").click()
        expect(cell(page, 1, "lead_time")).to_have_class(re.compile("cell-fault"))
        expect(page.get_by_role("button", name="Store this instance")).to_be_disabled()
        write(page, 1, "lead_time", "4")
        expect(page.get_by_text("Can be stored")).to_be_visible()
        page.get_by_role("button", name="Store this instance").click()
        expect(page.locator("main h1")).to_have_text("dc-two-stores")

    def test_a_file_that_is_no_document_is_refused_in_words(self, page: Page, tmp_path: Path) -> None:
        path = tmp_path / "list.json"
        path.write_text("[1, 2]")
        page.goto("/#/instances/new?tab=file")
        page.locator("#json-file").set_input_files(path)
        expect(page.get_by_role("alert")).to_contain_text("list.json could not be read: it holds no JSON object.")

    def test_csv_files_are_imported_and_refusals_name_the_line(self, page: Page, tmp_path: Path) -> None:
        network = {"problem": "inventory_network", "name": "from-csv", "periods": 20, "warmup_periods": 5}
        network["nodes"] = [{"id": "plant", "kind": "supplier"}, {"id": "shop", "kind": "store", "shortage_cost": 9}]
        network["lanes"] = [{"from": "plant", "to": "shop", "lead_time": 2}]
        (tmp_path / "network.json").write_text(json.dumps(network))
        history = tmp_path / "history.csv"
        history.write_text("date,shop\n" + "".join(f"2026-02-{d},{'x' if d == 12 else d % 7}\n" for d in range(10, 29)))
        page.goto("/#/instances/new?tab=import&problem=inventory_network")
        page.get_by_label("Instance", exact=False).set_input_files(tmp_path / "network.json")
        page.get_by_label("History", exact=False).set_input_files(history)
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_role("alert")).to_contain_text("line 4")
        corrected = history.read_text().replace("x", "3")
        history.write_text(corrected)
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_role("alert")).to_contain_text("history.csv was changed since it was chosen")
        (tmp_path / "corrected.csv").write_text(corrected)
        page.get_by_label("History", exact=False).set_input_files(tmp_path / "corrected.csv")
        page.get_by_role("button", name="Import").click()
        expect(page.locator("main h1")).to_have_text("from-csv")

    def test_it_is_accessible(self, page: Page, axe: Callable[[Page], None]) -> None:
        for tab in ("example", "file", "import"):
            page.goto(f"/#/instances/new?problem=inventory_network&tab={tab}")
            settle(page)
            axe(page)


class TestEditor:
    def test_cells_pasted_from_a_spreadsheet_make_rows(self, page: Page, site: Server) -> None:
        page.goto("/#/instances/new?example=inventory_network/dc-two-stores&tab=nodes")
        cell(page, 3, "id").click()
        paste(page, "s2\tstore\ns3\tstore\ns4\tstore\n")
        expect(cell(page, 5, "id")).to_have_text("s4")
        expect(page.get_by_role("tab", name="Nodes (6)")).to_be_visible()
        page.get_by_role("tab", name="As JSON").click()
        text = json.loads(page.get_by_label("The whole document as JSON").input_value())
        assert [node["id"] for node in text["nodes"]] == ["plant", "dc", "s1", "s2", "s3", "s4"]
        before = example("inventory_network", "dc-two-stores", site)["nodes"]
        assert text["nodes"][:4] == before  # cells that were not touched keep their values as they were

    def test_rows_are_added_duplicated_and_removed(self, page: Page) -> None:
        page.goto("/#/instances/new?example=inventory_network/dc-two-stores&tab=lanes")
        page.locator('.ag-row[row-index="0"] .ag-selection-checkbox input').click()
        page.get_by_role("button", name="Duplicate").click()
        expect(page.locator('.ag-row [col-id="of to"]')).to_have_count(4)
        expect(page.locator("ul.faults").first).to_contain_text("row 4")
        page.get_by_role("button", name="Remove 1").click()
        expect(page.locator('.ag-row [col-id="of to"]')).to_have_count(3)

    def test_a_row_opens_in_a_form_with_the_parts_a_cell_cannot_hold(self, page: Page) -> None:
        page.goto("/#/instances/new?example=lot_sizing/bottling&tab=items")
        page.get_by_role("button", name="Open row 1 in a form").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Demand: process").select_option("poisson")
        dialog.get_by_label("Mean").fill("-3")
        expect(dialog.locator(".fault")).to_contain_text("greater than or equal to 0")
        dialog.get_by_label("Mean").fill("12.5")
        dialog.get_by_role("button", name="Done").click()
        expect(cell(page, 0, "demand")).to_contain_text("poisson, mean 12.5")
        expect(page.get_by_text("Can be stored")).to_be_visible()

    def test_a_history_is_a_table_that_a_spreadsheet_fills(self, page: Page, site: Server) -> None:
        page.goto("/#/instances/new?example=inventory_network/history-in-blocks&tab=demand")
        page.locator('.ag-row[row-index="1"] [col-id="at 0"]').click()
        paste(page, "31\t-4\n32\t42\n")
        said = page.locator(".fault", has_text="row 2, column 2")
        expect(said).to_contain_text("greater than or equal to 0")
        expect(page.locator('.ag-row[row-index="1"] [col-id="at 1"]')).to_have_class(re.compile("cell-fault"))
        page.get_by_role("tab", name="As JSON").click()
        history = json.loads(page.get_by_label("The whole document as JSON").input_value())["demand"]["history"]
        before = example("inventory_network", "history-in-blocks", site)["demand"]["history"]
        assert history == [before[0], [31, -4], [32, 42], *before[3:]]

    def test_json_that_cannot_be_read_is_kept_and_told(self, page: Page) -> None:
        page.goto("/#/instances/new?example=inventory_network/dc-two-stores&tab=json")
        text = page.get_by_label("The whole document as JSON")
        text.fill('{"problem": "inventory_network", ')
        expect(page.get_by_text("This is no JSON yet")).to_be_visible()
        page.wait_for_timeout(300)  # what is typed is written shortly after
        page.reload()
        expect(text).to_have_value('{"problem": "inventory_network", ')
        expect(page.get_by_role("button", name="Store this instance")).to_be_disabled()

    def test_a_document_too_large_to_be_checked_is_told_as_such(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, max_body_bytes=1500)) as server, opened(browser, server.url) as page:
            page.goto("/#/instances/new?example=inventory_network/dc-two-stores")
            expect(page.get_by_text("Can be stored")).to_be_visible()
            page.get_by_role("tab", name="As JSON").click()
            text = page.get_by_label("The whole document as JSON")
            text.fill(text.input_value().replace('"plant"', f'"{"p" * 600}"'))
            expect(page.get_by_text("Cannot be checked")).to_be_visible()
            expect(page.get_by_role("alert")).to_contain_text("larger than this path takes")
            expect(page.get_by_role("button", name="Store this instance")).to_be_disabled()

    def test_a_stored_instance_is_changed_as_a_copy(self, page: Page, site: Server) -> None:
        instance_id = stored(site, "inventory_network", "dc-two-stores", "to-copy")
        page.goto(f"/#/instances/{instance_id}")
        page.get_by_role("link", name="Edit as a copy").click()
        page.get_by_label("Name").fill("a-copy")
        page.get_by_label("Periods", exact=False).first.fill("0")
        expect(page.locator("#document-periods-fault")).to_contain_text("greater than or equal to 1")
        page.get_by_label("Periods", exact=False).first.fill("60")
        expect(page.get_by_text("Can be stored")).to_be_visible()
        page.get_by_role("button", name="Store this instance").click()
        expect(page.locator("main h1")).to_have_text("a-copy")
        assert httpx.get(f"{site.url}/v1/instances/{instance_id}").json()["document"]["periods"] == 50

    def test_a_lost_server_and_a_reload_lose_nothing(self, browser: Browser, tmp_path: Path) -> None:
        settings = make_settings(tmp_path)
        address = "/#/instances/new?example=inventory_network/dc-two-stores&tab=nodes"
        with ExitStack() as page_lives:
            with running(settings) as server:
                page = page_lives.enter_context(opened(browser, server.url))
                page.goto(address)
                expect(page.get_by_text("Can be stored")).to_be_visible()
            write(page, 2, "holding_cost", "7.25")
            expect(page.get_by_text("Not checked: the server does not answer")).to_be_visible()
            page.get_by_role("button", name="Store this instance").click()
            expect(page.get_by_text("Nothing you typed is lost").first).to_be_visible()
            with running(settings, port=int(server.url.rsplit(":", 1)[1])):
                expect(page.get_by_text("Can be stored")).to_be_visible(timeout=15_000)
                expect(cell(page, 2, "holding_cost")).to_have_text("7.25")
                page.reload()
                expect(page.get_by_text("were kept in this browser")).to_be_visible()
                expect(cell(page, 2, "holding_cost")).to_have_text("7.25")
                page.goto("/#/instances/new")
                page.get_by_role("link", name="dc-two-stores").click()
                page.get_by_role("tab", name="Nodes").click()
                expect(cell(page, 2, "holding_cost")).to_have_text("7.25")
                page.get_by_role("button", name="Store this instance").click()
                expect(page.get_by_role("link", name="Train a policy")).to_be_visible()
                page.goto("/#/instances/new")
                expect(page.get_by_role("heading", name="What is decided?")).to_be_visible()
                expect(page.get_by_text("Unfinished in this browser")).to_have_count(0)

    @pytest.mark.parametrize(("problem", "name"), EVERY_PROBLEM)
    def test_every_part_of_every_problem_opens_and_is_accessible(
        self, page: Page, axe: Callable[[Page], None], problem: str, name: str
    ) -> None:
        page.goto(f"/#/instances/new?example={problem}/{name}")
        tabs = page.get_by_role("tab")
        expect(tabs.last).to_have_text("As JSON")
        for index in range(tabs.count()):
            tabs.nth(index).click()
            expect(page.get_by_role("tabpanel")).not_to_be_empty()
        tabs.nth(1).click()
        expect(page.locator(".ag-root, .field, .row").first).to_be_visible()
        settle(page)
        axe(page)


class TestOne:
    def test_it_is_deleted_unless_something_refers_to_it(self, page: Page, site: Server) -> None:
        used = httpx.get(f"{site.url}/v1/policies").json()["items"][0]["instance_id"]
        page.goto(f"/#/instances/{used}")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete it").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("used by")
        free = stored(site, "inventory_network", "dc-two-stores", "to-go")
        page.goto(f"/#/instances/{free}")
        expect(page.locator("main h1")).to_have_text("to-go")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete it").click()
        expect(page.locator("main h1")).to_have_text("Instances")
        assert httpx.get(f"{site.url}/v1/instances/{free}").status_code == 404

    def test_an_unknown_one_is_told(self, page: Page) -> None:
        page.goto("/#/instances/ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG")
        expect(page.get_by_role("alert").first).to_contain_text("ins_01K9ZV6Q5RJ8XAMB4T0CWD3EFG")

    def test_it_is_accessible_and_fits_a_tablet(
        self, browser: Browser, site: Server, axe: Callable[[Page], None]
    ) -> None:
        instance_id = stored(site, "lot_sizing", "bottling", "tablet")
        with opened(browser, site.url, viewport=TABLET) as page:
            for tab in ("figures", "data", "solvers", "policies"):
                page.goto(f"/#/instances/{instance_id}?tab={tab}")
                settle(page)
                assert not is_cut(page), tab
                axe(page)


def paste(page: Page, text: str) -> None:
    """Paste cells as a spreadsheet puts them on the clipboard."""
    page.evaluate(
        """text => {
          const data = new DataTransfer();
          data.setData("text/plain", text);
          const given = { clipboardData: data, bubbles: true, cancelable: true };
          document.activeElement.dispatchEvent(new ClipboardEvent("paste", given));
        }""",
        text,
    )
