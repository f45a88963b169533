"""Train: from an instance to a started training, and a whole one followed to its policy."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.dashboard.stored import instance_of
from tests.service.api_server import Server, example_document


@pytest.fixture(scope="module")
def instance(site: Server) -> str:
    return instance_of(site, "to-train")


class TestForm:
    def test_a_solver_that_serves_is_suggested_and_the_others_say_why_not(
        self, page: Page, site: Server, instance: str
    ) -> None:
        page.goto(f"/#/train?instance={instance}")
        expect(page.get_by_role("radio").first).to_be_checked()
        fit = httpx.get(f"{site.url}/v1/instances/{instance}/fit").json()["solvers"]
        against = next(solver for solver in fit if not solver["serves"])
        page.get_by_text("Not for this instance, and why").click()
        row = page.get_by_role("row").filter(has_text=against["title"])
        expect(row).to_contain_text(against["reasons"][0])

    def test_starting_with_nothing_but_defaults_leads_to_the_job(self, page: Page, site: Server, instance: str) -> None:
        page.goto(f"/#/train?instance={instance}")
        page.get_by_role("button", name="Start training").click()
        expect(page).to_have_url(re.compile("#/jobs/job_"))
        job = httpx.get(f"{site.url}/v1/jobs/{page.url.rsplit('/', 1)[1]}").json()
        assert (job["kind"], job["instance_id"]) == ("train", instance)
        first = httpx.get(f"{site.url}/v1/jobs?kind=evaluate&instance_id={instance}").json()["items"]
        assert first  # the yardsticks are measured before

    def test_what_is_set_is_what_is_asked(self, page: Page, site: Server, instance: str) -> None:
        page.goto(f"/#/train?instance={instance}&solver=hdpo")
        page.get_by_label("Name of the policy").fill("by-hand")
        page.get_by_label("Time limit in minutes").fill("1.5")
        page.get_by_label("Seed", exact=True).fill("11")
        page.get_by_label("Start from").select_option(label="to-train, version 1")
        page.get_by_label("Measure the classical rules").uncheck()
        page.get_by_text("More: every setting").click()
        page.get_by_label("Iterations", exact=True).fill("3")
        page.get_by_label("Iterations", exact=True).blur()
        page.get_by_role("button", name="Start training").click()
        expect(page).to_have_url(re.compile("#/jobs/job_"))
        job = httpx.get(f"{site.url}/v1/jobs/{page.url.rsplit('/', 1)[1]}").json()
        shown = {key: job[key] for key in ("policy_name", "time_limit", "seed", "solver")}
        assert shown == {"policy_name": "by-hand", "time_limit": "PT1M30S", "seed": 11, "solver": "hdpo"}
        assert job["config"]["iterations"] == 3
        assert job["warm_start"].startswith("pol_")

    def test_refusals_stand_beside_their_fields_and_nothing_typed_is_lost(self, page: Page, instance: str) -> None:
        page.goto(f"/#/train?instance={instance}&solver=hdpo")
        page.get_by_label("Name of the policy").fill("Not A Name")
        page.get_by_label("Measure the classical rules").uncheck()
        page.get_by_text("More: every setting").click()
        page.get_by_label("Iterations", exact=True).fill("-4")
        page.get_by_label("Iterations", exact=True).blur()
        page.get_by_role("button", name="Start training").click()
        expect(page.get_by_label("Name of the policy")).to_have_attribute("aria-invalid", "true")
        page.wait_for_timeout(300)  # a draft is written a moment after the last key
        page.reload()
        expect(page.get_by_label("Name of the policy")).to_have_value("Not A Name")
        page.get_by_label("Name of the policy").fill("a-name")
        page.get_by_role("button", name="Start training").click()
        expect(page.get_by_label("Iterations", exact=True)).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#config-iterations-fault")).to_contain_text("greater than or equal to 0")

    def test_a_job_is_started_again_with_changes(self, page: Page, site: Server, instance: str) -> None:
        body = {"kind": "train", "instance_id": instance, "solver": "hdpo", "config": {"iterations": 9}, "seed": 5}
        job = httpx.post(f"{site.url}/v1/jobs", json=body).json()["id"]
        page.goto(f"/#/train?instance={instance}&solver=hdpo&like={job}")
        expect(page.get_by_label("Seed", exact=True)).to_have_value("5")
        page.get_by_text("More: every setting").click()
        expect(page.get_by_label("Iterations", exact=True)).to_have_value("9")

    def test_it_is_accessible_and_fits_a_tablet(
        self, browser: Browser, site: Server, instance: str, axe: Callable[[Page], None]
    ) -> None:
        with opened(browser, site.url, viewport=TABLET) as page:
            page.goto(f"/#/train?instance={instance}")
            page.get_by_text("More: every setting").click()
            page.get_by_text("Not for this instance, and why").click()
            settle(page)
            assert not is_cut(page)
            axe(page)


@pytest.mark.processes
class TestWholeTraining:
    def test_it_is_followed_to_its_policy_and_reopened(self, live_page: Page, live_client: httpx.Client) -> None:
        instance = live_client.post("/v1/instances", json=example_document() | {"name": "live"}).json()["id"]
        live_page.goto(f"/#/train?instance={instance}&solver=hdpo")
        live_page.get_by_label("Name of the policy").fill("live-policy")
        live_page.get_by_label("Time limit in minutes").fill("0.1")
        live_page.get_by_label("Measure the classical rules").uncheck()
        live_page.get_by_text("More: every setting").click()
        live_page.get_by_label("Iterations", exact=True).fill("20")
        live_page.get_by_label("Iterations", exact=True).blur()
        live_page.get_by_role("button", name="Start training").click()
        expect(live_page.get_by_role("listitem").filter(has_text="Running")).to_be_visible()
        expect(live_page.get_by_text(re.compile("Policy live-policy, version 1,"))).to_be_visible(timeout=90_000)
        live_page.reload()  # all of the past is there again
        expect(live_page.get_by_role("img", name=re.compile("Cost a stage by iteration"))).to_be_visible()
        expect(live_page.get_by_role("log")).to_contain_text("attempt 1 of job")
        live_page.get_by_role("link", name="Open the policy").click()
        expect(live_page.get_by_role("heading", name="live-policy")).to_be_visible()
