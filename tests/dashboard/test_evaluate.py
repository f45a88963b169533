"""Comparing policies, rules and instances; what-if."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service.db.rows import EvaluationRow
from service.ids import new_id
from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.dashboard.stored import add_job, judged
from tests.service.api_server import Server, add_policy, example_document, make_settings, running

STORES = "dc-two-stores"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API without workers, with two versions of a policy `north` and two instances it can serve."""
    with running(make_settings(tmp_path_factory.mktemp("shop"))) as server:
        for version in (1, 2):
            add_policy(server, example_document(STORES), name="north", version=version)
        dear = example_document(STORES) | {"name": "dear-holding"}
        dear["nodes"] = [node | ({"holding_cost": 5.0} if node["id"] == "s1" else {}) for node in dear["nodes"]]
        httpx.post(f"{server.url}/v1/instances", json=dear).raise_for_status()
        yield server


@pytest.fixture
def page(browser: Browser, shop: Server) -> Iterator[Page]:
    """A fresh profile on that API."""
    with opened(browser, shop.url) as page:
        yield page


def instances(shop: Server) -> dict[str, str]:
    return {i["name"]: i["id"] for i in httpx.get(f"{shop.url}/v1/instances").json()["items"]}


def evaluated(shop: Server, instance: str, means: dict[str, float], cost_of_pairs: float = 10.0) -> tuple[str, str]:
    """A finished evaluation with these mean costs by name, as a job would store it: job and evaluation."""
    names = list(means)
    paths = {f"q{level:02d}": [float(level)] * 5 for level in (5, 25, 50, 75, 95)} | {"mean": [50.0] * 5}
    pairs = [
        {"policy": one, "other": other, "mean": means[other] - means[one], "ci95": [5.0, 15.0], "wins": 0.8}
        for k, one in enumerate(names)
        for other in names[k + 1 :]
    ]
    bound = {"kind": "some_bound", "exact": False, "value": 180.0, "value_per_stage": 9.0}
    body = {
        "scenarios": 512,
        "scenario_seed": 3,
        "policies": [{"name": name} | judged(mean) for name, mean in means.items()],
        "pairs": pairs,
        "policy_ids": {},
        "bound": bound,
        "bounds": [bound],
        "bound_note": None,
        "gap": 0.05,
    }
    with shop.database.write() as session:
        row = EvaluationRow(
            id=new_id("evl"), instance_id=instance, body=body, paths={n: {"on_hand": paths} for n in names}
        )
        session.add(row)
        session.flush()
        evaluation = str(row.id)
    kind: dict[str, Any] = {"kind": "evaluate", "solver": None, "policy_name": None, "config": {}}
    return add_job(shop, instance, "succeeded", evaluation_id=evaluation, **kind), evaluation


def newest_jobs(shop: Server, count: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = httpx.get(f"{shop.url}/v1/jobs?kind=evaluate&limit={count}").json()["items"]
    return items


def cell(page: Page, row: str, column: str) -> Locator:
    grid = page.get_by_role("group", name="Numbers of the instance")
    return grid.locator(f'.ag-row:has-text("{row}") [col-id="{column}"]')


class TestAsking:
    def test_one_job_for_each_instance_on_the_same_scenarios(self, page: Page, shop: Server) -> None:
        page.goto("/#/evaluate")
        expect(page.get_by_role("button", name="Compare")).to_be_disabled()
        page.get_by_label("north:2").check()
        page.get_by_label(STORES).check()
        page.get_by_label("dear-holding").check()
        page.get_by_label("Echelon base stock").check()
        page.get_by_label("Number of scenarios").fill("64")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", name="Comparison")).to_be_visible()
        expect(page.get_by_text("Queued")).to_have_count(2)
        jobs = newest_jobs(shop, 2)
        assert {job["instance_id"] for job in jobs} == set(instances(shop).values())
        assert jobs[0]["seed"] == jobs[1]["seed"]
        for job in jobs:
            assert job["config"]["scenarios"] == 64
            assert job["config"]["rules"] == ["echelon_base_stock"]
            httpx.post(f"{shop.url}/v1/jobs/{job['id']}/cancel").raise_for_status()
        expect(page.get_by_text("Cancelled")).to_have_count(2)

    def test_a_refusal_stands_at_its_field_and_nothing_typed_is_lost(self, page: Page) -> None:
        page.goto("/#/evaluate")
        page.get_by_label("north:1").check()
        page.get_by_label(STORES).check()
        page.get_by_label("Number of scenarios").fill("9999999")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_label("Number of scenarios")).to_have_attribute("aria-invalid", "true")
        page.wait_for_timeout(300)  # drafts are written a moment after the last key
        page.reload()
        expect(page.get_by_label("Number of scenarios")).to_have_value("9999999")
        expect(page.get_by_label("north:1")).to_be_checked()

    def test_own_scenarios_are_uploaded_and_named_where_they_are_wrong(self, page: Page, shop: Server) -> None:
        page.goto("/#/evaluate?policies=north:1")
        page.get_by_label("Your own scenario set").check()
        page.get_by_text("Upload a new set").click()
        page.get_by_label("Name").fill("two-years")
        columns = httpx.get(f"{shop.url}/v1/instances/{instances(shop)[STORES]}/scenario-schema").json()
        head = ",".join(columns["csv_columns"])
        rows = [f"{year},{stage},3,4" for year in ("wet", "dry") for stage in range(columns["stages"])]
        for text in (head + "\nwet,0,three,4\n", "\n".join([head, *rows]) + "\n"):
            file = {"name": "years.csv", "mimeType": "text/csv", "buffer": text.encode()}
            page.get_by_label("File").set_input_files(file)
            page.get_by_role("button", name="Upload").click()
            if "three" in text:
                expect(page.locator(".fault").first).to_contain_text("line 2")
        expect(page.get_by_label("Scenario set", exact=True)).not_to_have_value("")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_text("Queued")).to_be_visible()
        (job,) = newest_jobs(shop, 1)
        assert job["config"]["scenario_set_id"].startswith("scn_")
        httpx.post(f"{shop.url}/v1/jobs/{job['id']}/cancel").raise_for_status()

    def test_an_address_chooses_policy_and_instance(self, page: Page, shop: Server) -> None:
        page.goto("/#/evaluate?policies=north:2,north:1")
        expect(page.get_by_label("north:2")).to_be_checked()
        page.goto("/#/decide")
        page.goto("/#/evaluate?policy=north:1")
        expect(page.get_by_label("north:1")).to_be_checked()
        expect(page.get_by_label("north:2")).not_to_be_checked()
        expect(page.get_by_label(STORES)).to_be_checked()


class TestOutcome:
    def test_instances_stand_side_by_side(self, page: Page, shop: Server) -> None:
        known = instances(shop)
        one, _ = evaluated(shop, known[STORES], {"north:1": 200.0, "base_stock": 210.0})
        two, _ = evaluated(shop, known["dear-holding"], {"north:1": 260.0, "base_stock": 240.0})
        page.goto(f"/#/evaluate/run?jobs={one},{two}")
        table = page.get_by_role("region", name="Policies by instances")
        expect(table.locator("b")).to_have_text(["10", "12"])  # the cheapest of each instance, a stage
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as CSV").click()
        assert saved.value.path().read_text().splitlines()[1].startswith("north:1,dc-two-stores,200,198,202,10")
        page.get_by_role("tab", name="dear-holding").click()
        expect(page.get_by_role("region", name="Costs")).to_contain_text("260")

    def test_one_evaluation_is_told_and_compared_with_any_of_its_policies(self, page: Page, shop: Server) -> None:
        means = {"north:1": 200.0, "north:2": 190.0, "base_stock": 210.0}
        _, evaluation = evaluated(shop, instances(shop)[STORES], means)
        page.goto(f"/#/evaluations/{evaluation}")
        costs = page.get_by_role("region", name="Costs")
        expect(costs.get_by_role("row").nth(2)).to_contain_text("−10")
        page.get_by_label("Compare with").select_option("north:2")
        expect(costs.get_by_role("row").nth(1)).to_contain_text("10 [−15, −5]")
        settle(page)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Excel").click()
        assert saved.value.path().read_bytes()[:2] == b"PK"
        for drawn in ("Cost a stage of", "Paired differences", "Cost components", "Histogram"):
            expect(page.get_by_role("img", name=re.compile(drawn))).to_be_visible()
        expect(page.get_by_label("Quantity")).to_be_visible()

    def test_what_was_evaluated_before_is_listed(self, page: Page, shop: Server) -> None:
        _, evaluation = evaluated(shop, instances(shop)[STORES], {"north:1": 200.0})
        page.goto("/#/evaluate")
        page.get_by_role("region", name="Evaluations of the past").get_by_role("link", name="Open").first.click()
        expect(page).to_have_url(re.compile(evaluation))
        expect(page.get_by_role("heading", name=f"Evaluation on {STORES}")).to_be_visible()


class TestWhatIf:
    def test_numbers_are_found_changed_and_judged_on_both(self, page: Page, shop: Server) -> None:
        page.goto(f"/#/what-if?instance={instances(shop)[STORES]}")
        page.get_by_label("Find", exact=True).fill("dc holding")
        expect(cell(page, "dc", "value")).to_have_count(1)  # the others are gone
        expect(cell(page, "dc", "value")).to_have_text("0.3")
        page.get_by_role("group", name="Numbers of the instance").get_by_role("checkbox").nth(1).check()
        page.get_by_label("By or to").fill("2")
        page.get_by_role("button", name="Apply to the 1 selected").click()
        expect(page.get_by_role("region", name="Changes")).to_contain_text("Nodes › dc › Holding cost: 0.3 × 2")
        page.get_by_label("Find", exact=True).fill("s2 holding")
        expect(cell(page, "s2", "to")).to_have_count(1)
        cell(page, "s2", "to").dblclick()
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        expect(page.get_by_role("region", name="Changes").get_by_role("listitem")).to_have_count(2)
        page.get_by_label("Name of the changed instance").fill("dearer-stock")
        page.get_by_label("north:1").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("heading", name="What if: both sides")).to_be_visible()
        jobs = newest_jobs(shop, 2)
        assert jobs[0]["seed"] == jobs[1]["seed"]
        stored = httpx.get(f"{shop.url}/v1/instances/{instances(shop)['dearer-stock']}").json()["document"]
        assert {n["id"]: n["holding_cost"] for n in stored["nodes"] if n["id"] in ("dc", "s2")} == {
            "dc": 0.6,
            "s2": 7.0,
        }
        for job in jobs:
            httpx.post(f"{shop.url}/v1/jobs/{job['id']}/cancel").raise_for_status()

    def test_a_refused_number_is_named_at_its_change(self, page: Page, shop: Server) -> None:
        page.goto(f"/#/what-if?instance={instances(shop)[STORES]}")
        page.get_by_label("Find", exact=True).fill("dc holding")
        expect(cell(page, "dc", "to")).to_have_count(1)
        cell(page, "dc", "to").dblclick()
        page.keyboard.type("-1")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("region", name="Changes").locator(".fault")).to_be_visible()
        page.get_by_role("button", name="Undo all").click()
        expect(page.get_by_text("Nothing is changed yet.")).to_be_visible()

    def test_both_sides_are_told_with_their_difference(self, page: Page, shop: Server) -> None:
        known = instances(shop)
        one, _ = evaluated(shop, known[STORES], {"north:1": 200.0, "base_stock": 210.0})
        two, _ = evaluated(shop, known["dear-holding"], {"north:1": 260.0, "base_stock": 240.0})
        page.goto(f"/#/what-if/result?jobs={one},{two}")
        expect(page.get_by_role("region", name="Changed numbers")).to_contain_text("Holding cost")
        row = page.get_by_role("region", name="Costs of both").get_by_role("row").nth(1)
        expect(row).to_contain_text("60 [57.23, 62.77]")
        expect(row).to_contain_text("30.0 %")
        settle(page)
        expect(page.get_by_role("img", name=re.compile("north:1, what if"))).to_have_count(3)


class TestLooks:
    def test_pages_are_accessible(self, page: Page, shop: Server, axe: Callable[[Page], None]) -> None:
        known = instances(shop)
        one, evaluation = evaluated(shop, known[STORES], {"north:1": 200.0, "north:2": 205.0, "base_stock": 210.0})
        two, _ = evaluated(shop, known["dear-holding"], {"north:1": 260.0, "base_stock": 240.0})
        jobs = f"jobs={one},{two}"
        for address in (
            "evaluate",
            f"evaluations/{evaluation}",
            "what-if",
            f"what-if/result?{jobs}",
        ):
            page.goto(f"/#/{address}")
            settle(page)
            axe(page)

    def test_nothing_is_cut_on_a_tablet(self, browser: Browser, shop: Server) -> None:
        known = instances(shop)
        one, evaluation = evaluated(shop, known[STORES], {"north:1": 200.0, "base_stock": 210.0})
        two, _ = evaluated(shop, known["dear-holding"], {"north:1": 260.0, "base_stock": 240.0})
        with opened(browser, shop.url, viewport=TABLET) as page:
            for address in ("evaluate", f"evaluations/{evaluation}", "what-if", f"what-if/result?jobs={one},{two}"):
                page.goto(f"/#/{address}")
                settle(page)
                assert not is_cut(page), address
