"""Deciding: a state typed, pasted, uploaded; a recommendation judged; the history of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service.db.rows import RecommendationRow
from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

STORES = "dc-two-stores"
PASTE = """(element, text) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API with an untrained policy `north` for a warehouse and two stores."""
    with running(make_settings(tmp_path_factory.mktemp("shop"))) as server:
        add_policy(server, example_document(STORES), name="north")
        yield server


@pytest.fixture
def page(browser: Browser, shop: Server) -> Iterator[Page]:
    """A fresh profile on that API."""
    with opened(browser, shop.url) as page:
        yield page


def cell(page: Page, row: str, column: str, grid: str = "On hand") -> Locator:
    return page.get_by_role("group", name=grid, exact=True).locator(f'[row-id="{row}"] [col-id="{column}"]')


def type_into(page: Page, at: Locator, text: str) -> None:
    at.dblclick()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def open_policy(page: Page) -> None:
    page.goto("/#/decide/north")
    expect(cell(page, "s1", "on_hand")).to_have_text("10")


def recommend(page: Page) -> None:
    page.get_by_role("button", name="Recommend", exact=True).click()
    expect(page.get_by_role("heading", name="Recommended decision")).to_be_visible()
    expect(page.get_by_role("group", name="Recommended decision").locator("[row-id]").first).to_be_visible()


def newest(shop: Server) -> dict[str, Any]:
    item = httpx.get(f"{shop.url}/v1/recommendations").json()["items"][0]
    found: dict[str, Any] = httpx.get(f"{shop.url}/v1/recommendations/{item['id']}").json()
    return found


class TestChoosing:
    def test_policies_are_found_by_what_is_typed_and_opened(self, page: Page) -> None:
        page.goto("/#/decide")
        expect(page.get_by_role("link", name="north")).to_be_visible()
        page.get_by_label("Find").fill("south")
        expect(page.get_by_text("None fits what you typed")).to_be_visible()
        page.get_by_label("Find").fill("inventory")
        page.get_by_role("link", name="north").click()
        expect(page.get_by_role("heading", name="Decide with north")).to_be_visible()

    def test_without_policies_it_says_what_to_do(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            page.goto("/#/decide")
            expect(page.get_by_text("There is no policy yet")).to_be_visible()


class TestState:
    def test_what_is_typed_is_what_is_asked(self, page: Page, shop: Server) -> None:
        open_policy(page)
        type_into(page, cell(page, "s1", "on_hand"), "3.5")
        recommend(page)
        assert newest(shop)["request"]["state"]["on_hand"] == {"s1": 3.5, "s2": 10, "dc": 20}

    def test_cells_of_a_spreadsheet_go_to_the_right_and_down(self, page: Page) -> None:
        open_policy(page)
        cell(page, "s1", "on_hand").click()
        cell(page, "s1", "on_hand").evaluate(PASTE, "1,250\n7")
        expect(cell(page, "s1", "on_hand")).to_have_text("1,250")
        expect(cell(page, "s2", "on_hand")).to_have_text("7")
        expect(cell(page, "dc", "on_hand")).to_have_text("20")

    def test_names_of_a_spreadsheet_find_their_lines(self, page: Page) -> None:
        open_policy(page)
        cell(page, "s1", "which").click()
        cell(page, "s1", "which").evaluate(PASTE, "store\tOn hand [units]\ndc\t44\ns2\t5\n")
        expect(cell(page, "dc", "on_hand")).to_have_text("44")
        expect(cell(page, "s2", "on_hand")).to_have_text("5")
        expect(cell(page, "s1", "on_hand")).to_have_text("10")

    def test_lines_are_added_typed_and_removed(self, page: Page, shop: Server) -> None:
        open_policy(page)
        transit = page.get_by_role("region", name="In transit")
        transit.get_by_role("button", name="Add a line").click()
        for column, text in {"from": "dc", "to": "s1", "quantity": "6", "arrives_in": "1"}.items():
            type_into(page, cell(page, "0", column, "In transit"), text)
        recommend(page)
        assert newest(shop)["request"]["state"]["in_transit"] == [
            {"from": "dc", "to": "s1", "quantity": 6, "arrives_in": 1}
        ]
        transit.get_by_role("checkbox").last.check()
        transit.get_by_role("button", name="Remove the selected lines").click()
        expect(transit.get_by_text("None.")).to_be_visible()
        expect(page.get_by_text("has changed since this was recommended")).to_be_visible()

    def test_a_refusal_stands_at_its_cell(self, page: Page) -> None:
        open_policy(page)
        type_into(page, cell(page, "dc", "on_hand"), "many")
        page.get_by_role("button", name="Recommend", exact=True).click()
        alert = page.get_by_role("region", name="On hand").get_by_role("alert")
        expect(alert).to_contain_text("dc, On hand")
        expect(page.locator(".cell-fault")).to_have_count(1)
        expect(page.locator(".cell-fault")).to_have_text("many")
        type_into(page, cell(page, "dc", "on_hand"), "12")
        expect(page.locator(".cell-fault")).to_have_count(0)

    def test_files_make_a_state(self, page: Page) -> None:
        open_policy(page)
        page.get_by_role("tab", name="Upload files").click()
        page.get_by_label("On hand").set_input_files(
            {"name": "stock.csv", "mimeType": "text/csv", "buffer": b"node,on_hand\ns1,x\n"}
        )
        page.get_by_role("button", name="Read these files").click()
        expect(page.get_by_role("alert").first).to_contain_text("on_hand")
        page.get_by_label("On hand").set_input_files(
            {"name": "stock.csv", "mimeType": "text/csv", "buffer": b"node,on_hand\ns1,1\ns2,2\ndc,3\n"}
        )
        page.get_by_role("button", name="Read these files").click()
        expect(cell(page, "dc", "on_hand")).to_have_text("3")

    def test_json_is_taken_once_it_is_json(self, page: Page) -> None:
        open_policy(page)
        page.get_by_role("tab", name="As JSON").click()
        box = page.get_by_label("The state as JSON")
        box.fill('{"on_hand": {"s1": 1, "s2": 2, "dc": 3')
        box.blur()
        expect(page.get_by_text("This is not a state in JSON")).to_be_visible()
        box.fill('{"on_hand": {"s1": 1, "s2": 2, "dc": 3}}')
        box.blur()
        page.get_by_role("tab", name="Type or paste").click()
        expect(cell(page, "s2", "on_hand")).to_have_text("2")


class TestKept:
    def test_what_was_typed_is_there_after_a_reload_until_it_is_thrown_away(self, page: Page) -> None:
        open_policy(page)
        type_into(page, cell(page, "s2", "on_hand"), "4")
        expect(page.get_by_text("Typed here")).to_be_visible()
        page.wait_for_timeout(300)  # drafts are written a moment after the last key
        page.reload()
        expect(cell(page, "s2", "on_hand")).to_have_text("4")
        page.get_by_role("button", name="Back to the initial state").click()
        expect(cell(page, "s2", "on_hand")).to_have_text("10")

    def test_a_lost_server_loses_neither_the_state_nor_an_override(self, browser: Browser, tmp_path: Path) -> None:
        settings = make_settings(tmp_path)
        with ExitStack() as page_lives:
            with running(settings) as server:
                add_policy(server, example_document(STORES), name="north")
                page = page_lives.enter_context(opened(browser, server.url))
                open_policy(page)
                type_into(page, cell(page, "s1", "on_hand"), "2")
                recommend(page)
                page.get_by_role("button", name="Override").click()
                page.get_by_label("Reason").fill("a fair in town")
            page.get_by_role("button", name="Keep my decision").click()
            expect(page.get_by_text("Server not reached")).to_be_visible()
            with running(settings, port=int(server.url.rsplit(":", 1)[1])):
                expect(page.get_by_text("this page goes on when the server is back")).to_have_count(0)
                expect(page.get_by_label("Reason")).to_have_value("a fair in town")
                page.reload()
                expect(page.get_by_label("Reason")).to_have_value("a fair in town")
                expect(cell(page, "s1", "on_hand")).to_have_text("2")


class TestJudging:
    def test_accepted(self, page: Page, shop: Server) -> None:
        open_policy(page)
        recommend(page)
        page.get_by_role("button", name="Accept").click()
        expect(page.get_by_role("region", name="Your judgement")).to_contain_text("Accepted")
        assert newest(shop)["outcome"]["outcome"] == "accepted"

    def test_rejected_with_a_reason(self, page: Page, shop: Server) -> None:
        open_policy(page)
        recommend(page)
        page.get_by_label("Reason").fill("Supplier on holiday.")
        page.get_by_role("button", name="Reject").click()
        expect(page.get_by_role("region", name="Your judgement")).to_contain_text("Supplier on holiday.")
        assert newest(shop)["outcome"]["outcome"] == "rejected"

    def test_overridden_with_numbers_and_a_reason(self, page: Page, shop: Server) -> None:
        open_policy(page)
        recommend(page)
        proposed = newest(shop)["response"]["decision"]["orders"]
        page.get_by_role("button", name="Override").click()
        type_into(page, cell(page, "0", "quantity", "Your decision"), "1.5")
        expect(page.get_by_role("heading", name="Your changes").locator("..")).to_contain_text("1.5")
        keep = page.get_by_role("button", name="Keep my decision")
        expect(keep).to_be_disabled()
        page.get_by_label("Reason").fill("Half a pallet is left.")
        keep.click()
        expect(page.get_by_role("region", name="Your judgement")).to_contain_text("Overridden")
        outcome = newest(shop)["outcome"]
        assert outcome["note"] == "Half a pallet is left."
        assert [line["quantity"] for line in outcome["decision"]["orders"]] == [1.5] + [
            o["quantity"] for o in proposed[1:]
        ]

    def test_numbers_that_cannot_be_done_are_refused_at_their_cell(self, page: Page, shop: Server) -> None:
        open_policy(page)
        recommend(page)
        page.get_by_role("button", name="Override").click()
        page.get_by_label("Reason").fill("Send some back.")
        type_into(page, cell(page, "1", "quantity", "Your decision"), "-3")
        page.get_by_role("button", name="Keep my decision").click()
        alert = page.get_by_role("region", name="Your judgement").get_by_role("alert")
        expect(alert).to_contain_text("dc → s1, quantity")
        expect(alert).to_contain_text("an order is not negative")
        expect(page.locator(".cell-fault")).to_have_text("−3")
        assert newest(shop)["outcome"] is None
        type_into(page, cell(page, "1", "quantity", "Your decision"), "0")
        expect(page.locator(".cell-fault")).to_have_count(0)
        page.get_by_role("button", name="Keep my decision").click()
        expect(page.get_by_role("region", name="Your judgement")).to_contain_text("Overridden")

    def test_only_what_is_decided_is_edited(self, page: Page) -> None:
        open_policy(page)
        recommend(page)
        page.get_by_role("button", name="Override").click()
        grid = page.get_by_role("group", name="Your decision")
        expect(grid.locator(".cell-typed").first).to_be_visible()
        assert set(grid.locator(".cell-typed").evaluate_all("cells => cells.map(c => c.getAttribute('col-id'))")) == {
            "quantity"
        }

    def test_a_line_tells_its_own_reasons(self, page: Page) -> None:
        open_policy(page)
        recommend(page)
        why = page.get_by_role("region", name="Why")
        expect(why.get_by_role("listitem").first).to_be_visible()
        page.get_by_role("group", name="Recommended decision").locator('[row-id="1"] [col-id="to"]').click()
        expect(why.get_by_role("status")).to_contain_text("holds")


class TestShown:
    def test_alerts_come_first_and_figures_are_drawn(self, page: Page, shop: Server) -> None:
        open_policy(page)
        type_into(page, cell(page, "s1", "on_hand"), "0")
        recommend(page)
        answer = newest(shop)["response"]
        assert answer["alerts"]
        expect(page.get_by_text(answer["alerts"][0]["title"], exact=True)).to_be_visible()
        settle(page)
        expect(page.get_by_role("heading", name="What it means")).to_be_visible()
        expect(page.locator("figure .chart").first).to_be_visible()

    def test_a_decision_is_saved_for_a_spreadsheet(self, page: Page) -> None:
        open_policy(page)
        recommend(page)
        with page.expect_download() as saved:
            page.get_by_role("button", name="CSV").click()
        assert saved.value.path().read_text().splitlines()[0] == "From,To,Quantity [units],Arrives in [periods]"
        with page.expect_download() as saved:
            page.get_by_role("button", name="Excel").click()
        assert saved.value.path().read_bytes()[:2] == b"PK"


class TestReplay:
    def test_it_is_asked_for_and_told(self, page: Page, shop: Server) -> None:
        asked = httpx.post(f"{shop.url}/v1/policies/north/recommend", json={}).json()
        path = f"{shop.url}/v1/recommendations/{asked['recommendation_id']}"
        lines = [line | {"quantity": 1.0} for line in asked["decision"]["orders"]]
        own = {"outcome": "overridden", "decision": {"orders": lines}, "note": "Little money is left."}
        httpx.put(f"{path}/outcome", json=own).raise_for_status()
        page.goto(f"/#/decisions/{asked['recommendation_id']}")
        page.get_by_role("button", name="Replay both decisions").click()
        expect(page.get_by_role("region", name="Replay")).to_contain_text("Queued")
        job = httpx.get(f"{shop.url}/v1/jobs?limit=1").json()["items"][0]
        assert (job["kind"], job["config"]["recommendation_id"]) == ("replay", asked["recommendation_id"])
        figures = {"mean_cost": 100.0, "standard_error": 1.0, "ci95": [98.0, 102.0]}
        with shop.database.write() as session:
            row = session.get(RecommendationRow, asked["recommendation_id"])
            assert row is not None
            row.replay = {
                "job_id": job["id"],
                "scenarios": 64,
                "seed": 1,
                "from_stage": 0,
                "to_stage": 50,
                "recommended": figures,
                "own": figures,
                "difference": {"mean": 7.5, "ci95": [5.0, 10.0], "wins": 0.9},
            }
        page.reload()
        verdict = page.get_by_role("region", name="Replay")
        expect(verdict).to_contain_text("Your decision costs more than the recommended one.")
        expect(verdict).to_contain_text("7.5 [5, 10]")
        page.goto("/#/decisions?outcome=overridden")
        row_of = page.locator(f'[row-id="{asked["recommendation_id"]}"]')
        expect(row_of.locator('[col-id="regret"]')).to_have_text("7.5")


class TestHistory:
    def test_decisions_are_filtered_and_opened(self, page: Page, shop: Server) -> None:
        asked = httpx.post(f"{shop.url}/v1/policies/north/recommend", json={"options": {"explain": True}}).json()
        path = f"{shop.url}/v1/recommendations/{asked['recommendation_id']}/outcome"
        httpx.put(path, json={"outcome": "rejected", "note": "Roads are closed."}).raise_for_status()
        page.goto("/#/decisions")
        page.get_by_label("Outcome").select_option("rejected")
        row = page.locator(f'[row-id="{asked["recommendation_id"]}"]')
        expect(row).to_contain_text("Roads are closed.")
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", name="State it was asked for")).to_be_visible()
        expect(page.get_by_role("region", name="Your judgement")).to_contain_text("Roads are closed.")
        page.goto("/#/decisions?policy=nobody")
        expect(page.get_by_role("alert").or_(page.get_by_text("No recommendation fits."))).to_be_visible()


class TestLooks:
    @pytest.mark.parametrize("address", ["/#/decide", "/#/decide/north", "/#/decisions"])
    def test_pages_are_accessible(self, page: Page, axe: Callable[[Page], None], address: str) -> None:
        page.goto(address)
        settle(page)
        if address.endswith("north"):
            recommend(page)
            page.get_by_role("button", name="Override").click()
        axe(page)

    def test_nothing_is_cut_on_a_tablet(self, browser: Browser, shop: Server) -> None:
        with opened(browser, shop.url, viewport=TABLET) as page:
            open_policy(page)
            recommend(page)
            settle(page)
            assert not is_cut(page)
