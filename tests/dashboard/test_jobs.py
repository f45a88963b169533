"""Jobs: the list, and one job's page from its first event to its outcome."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.storage import Storage
from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.dashboard.stored import add_job, curve, instance_of
from tests.service.api_server import Server

BROKE = {
    "type": "/problems/diverged",
    "title": "Training diverged",
    "status": 500,
    "detail": "The cost became infinite.",
}


@pytest.fixture(scope="module")
def jobs(site: Server) -> dict[str, str]:
    """A job in every state that a page tells differently."""
    instance = instance_of(site, "for-jobs")
    made = {"queued": add_job(site, instance, "queued")}
    made["running"] = add_job(site, instance, "running", curve(400, 60), policy_name="running-one")
    made["failed"] = add_job(site, instance, "failed", curve(400, 5), error=BROKE, policy_name="broken-one")
    plan = {"kind": "bound_of_this_test", "value_per_stage": 5.25, "value": 105.0, "exact": False}
    result = {"status": "optimal", "document": plan}
    solved = {"kind": "solve", "solver": "bound", "policy_name": None, "result": result}
    made["solved"] = add_job(site, instance, "succeeded", **solved)
    none = {"status": "infeasible", "document": {"reason": "The limits are at odds."}}
    made["infeasible"] = add_job(site, instance, "succeeded", **solved | {"result": none})
    return made


class TestList:
    def test_it_shows_every_job_with_its_state(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto("/#/jobs")
        running = page.get_by_role("row").filter(has=page.get_by_role("link", name="Training running-one"))
        expect(running).to_contain_text("Running")
        expect(running).to_contain_text("15 %")
        expect(page.get_by_role("row").filter(has_text="broken-one")).to_contain_text("Training diverged")

    def test_filters_are_part_of_the_address(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto("/#/jobs")
        page.get_by_label("State").select_option("failed")
        expect(page.get_by_role("link", name="Training running-one")).to_have_count(0)
        expect(page.get_by_role("link", name="Training broken-one")).to_be_visible()
        expect(page).to_have_url(re.compile("state=failed"))
        page.reload()
        expect(page.get_by_label("State")).to_have_value("failed")
        page.get_by_label("Kind").select_option("evaluate")
        expect(page.get_by_text("No job is like that.")).to_be_visible()

    def test_it_is_accessible(self, page: Page, jobs: dict[str, str], axe: Callable[[Page], None]) -> None:
        page.goto("/#/jobs")
        settle(page)
        axe(page)


class TestRunning:
    def test_the_past_is_there_when_the_page_is_opened(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto(f"/#/jobs/{jobs['running']}")
        expect(page.get_by_text("Training: 60 of 400 iterations")).to_be_visible()
        expect(page.get_by_text("about 30 s of training left")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="Running")).to_have_attribute("aria-current", "step")
        page.get_by_text("As numbers").first.click()
        rows = page.get_by_role("region", name="The figure's numbers").get_by_role("row")
        expect(rows).to_have_count(1 + 60 + 6)  # batches and validations, from the first on

    def test_new_events_are_drawn_as_they_come(self, page: Page, site: Server, jobs: dict[str, str]) -> None:
        from service.db.rows import JobEventRow, JobRow

        page.goto(f"/#/jobs/{jobs['running']}")
        expect(page.get_by_text("Training: 60 of 400 iterations")).to_be_visible()
        told = {"phase": "training", "iteration": 61, "iterations": 400, "fraction": 0.1525, "eta_seconds": 29.0}
        with site.database.write() as session:
            job = session.get(JobRow, jobs["running"])
            assert job is not None
            job.event_seq += 1
            session.add(JobEventRow(job_id=job.id, seq=job.event_seq, type="progress", data=told))
        expect(page.get_by_text("Training: 61 of 400 iterations")).to_be_visible()

    def test_other_metrics_are_small_charts(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto(f"/#/jobs/{jobs['running']}")
        expect(page.get_by_text("Other metrics (1)")).to_be_visible()
        settle(page)
        page.get_by_text("Other metrics (1)").click()
        expect(page.get_by_role("img", name=re.compile("Gradient norm by iteration"))).to_be_visible()

    def test_it_is_cancelled_after_a_question(self, page: Page, site: Server) -> None:
        job = add_job(site, instance_of(site, "to-cancel"), "running", curve(10, 3))
        page.goto(f"/#/jobs/{job}")
        page.get_by_role("button", name="Cancel", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("the best policy so far is kept")
        dialog.get_by_role("button", name="Cancel the job").click()
        expect(page.locator("main").get_by_text("Cancelling").first).to_be_visible()
        assert httpx.get(f"{site.url}/v1/jobs/{job}").json()["state"] == "cancelling"

    def test_it_is_accessible_and_fits_a_tablet(
        self, browser: Browser, site: Server, jobs: dict[str, str], axe: Callable[[Page], None]
    ) -> None:
        with opened(browser, site.url, viewport=TABLET) as page:
            page.goto(f"/#/jobs/{jobs['running']}")
            expect(page.get_by_text("Training: 6")).to_be_visible()
            settle(page)
            assert not is_cut(page)
            axe(page)


class TestFinished:
    def test_a_failure_is_told_in_words_and_tried_again(self, page: Page, site: Server, jobs: dict[str, str]) -> None:
        page.goto(f"/#/jobs/{jobs['failed']}")
        expect(page.get_by_role("alert")).to_contain_text("Training diverged")
        expect(page.get_by_role("alert")).to_contain_text("The cost became infinite.")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_text("No live worker serves the queue cpu.")).to_be_visible()
        new = page.url.rsplit("/", 1)[1]
        assert httpx.get(f"{site.url}/v1/jobs/{new}").json()["retry_of"] == jobs["failed"]

    def test_the_log_is_shown(self, page: Page, site: Server, jobs: dict[str, str]) -> None:
        path = Storage(site.settings.data_dir).log_path(jobs["failed"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("first line\nand then it broke\n")
        page.goto(f"/#/jobs/{jobs['failed']}")
        expect(page.get_by_role("log")).to_contain_text("and then it broke")

    def test_a_bound_shows_what_it_found(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto(f"/#/jobs/{jobs['solved']}")
        expect(page.get_by_role("heading", name="Bound of this test")).to_be_visible()
        expect(page.get_by_text("5.25", exact=True)).to_be_visible()

    def test_an_infeasible_program_is_an_answer(self, page: Page, jobs: dict[str, str]) -> None:
        page.goto(f"/#/jobs/{jobs['infeasible']}")
        expect(page.get_by_text("There is no feasible plan")).to_be_visible()
        expect(page.get_by_text("The limits are at odds.", exact=True)).to_be_visible()

    def test_a_replay_says_what_the_own_decision_cost(self, page: Page, site: Server) -> None:
        recommendation = "rec_01K9ZV6Q5RJ8XAMB4T0CWD3EFG"
        played = {"scenarios": 64, "difference": {"mean": 2.5, "ci95": [1.5, 3.5], "wins": 0.9}}
        replay = {"kind": "replay", "solver": None, "policy_name": None, "result": {"replay": played, "kept": True}}
        config = {"recommendation_id": recommendation}
        job = add_job(site, instance_of(site, "replayed"), "succeeded", config=config, **replay)
        page.goto(f"/#/jobs/{job}")
        expect(page.get_by_text("It costs 2.5 more, 95 % interval 1.5 to 3.5, on 64 scenarios.")).to_be_visible()
        link = page.get_by_role("link", name="Open the decision")
        expect(link).to_have_attribute("href", f"#/decisions/{recommendation}")

    def test_deleting_it_leads_back_to_the_list(self, page: Page, site: Server) -> None:
        job = add_job(site, instance_of(site, "to-delete"), "cancelled")
        page.goto(f"/#/jobs/{job}")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page).to_have_url(re.compile("#/jobs$"))
        assert httpx.get(f"{site.url}/v1/jobs/{job}").status_code == 404

    def test_an_unknown_job_is_refused_in_words(self, page: Page) -> None:
        page.goto("/#/jobs/job_01K9ZV6Q5RJ8XAMB4T0CWD3EFG")
        expect(page.get_by_role("alert")).to_contain_text("Not found")
