"""Settings in the browser: keys, limits, queue, workers, storage, and what this browser prefers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.service.api_server import Server, example_document, make_settings, running
from tests.service.test_jobs_queues import add_worker


class TestService:
    def test_queue_workers_storage_and_version_are_told(self, page: Page, site: Server) -> None:
        page.goto("/#/settings")
        expect(page.get_by_text("Waiting")).to_be_visible()
        expect(page.get_by_text("No worker was seen.")).to_be_visible()
        expect(page.get_by_text("Free on the disk").locator("..")).to_contain_text("iB")
        version = httpx.get(f"{site.url}/v1/version").json()["version"]
        expect(page.get_by_text(version)).to_be_visible()

    def test_slots_are_told_and_jobs_that_nobody_serves(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            add_worker(server.database, ["cpu"], [])
            with server.client() as client:
                instance_id = client.post("/v1/instances", json=example_document()).json()["id"]
                asked = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "device": "gpu"}
                job_id = client.post("/v1/jobs", json=asked).json()["id"]
            page.goto("/#/settings")
            expect(page.get_by_text("1 job on the queue GPU, which no live worker serves.")).to_be_visible()
            expect(page.get_by_role("cell", name="2 CPU", exact=True)).to_be_visible()
            page.goto(f"/#/jobs/{job_id}")
            expect(page.get_by_text("No live worker serves the queue gpu.")).to_be_visible()
            add_worker(server.database, ["gpu"], ["7", "9"])
            page.goto("/#/settings")
            expect(page.get_by_role("cell", name="2 GPU", exact=True)).to_be_visible()
            expect(page.get_by_role("cell", name="7, 9", exact=True)).to_be_visible()
            expect(page.get_by_text("which no live worker serves")).to_have_count(0)

    def test_limits_are_in_words(self, page: Page) -> None:
        page.goto("/#/settings?tab=limits")
        expect(page.get_by_text("Largest request", exact=True)).to_be_visible()
        limits = page.locator("dl.facts")
        expect(limits).to_contain_text("MiB")
        expect(limits).to_contain_text("30 min")
        expect(limits).not_to_contain_text("NaN")

    def test_every_tab_is_accessible_and_fits_a_tablet(
        self, browser: Browser, site: Server, axe: Callable[[Page], None]
    ) -> None:
        with opened(browser, site.url, viewport=TABLET) as page:
            for tab in ("service", "keys", "audit", "limits", "browser"):
                page.goto(f"/#/settings?tab={tab}")
                settle(page)
                axe(page)
                assert not is_cut(page), tab


class TestKeys:
    def test_a_key_is_made_shown_once_used_and_revoked(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            page.goto("/#/settings?tab=keys")
            expect(page.get_by_text("There are no keys.")).to_be_visible()
            page.get_by_role("button", name="New key").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Name").fill("maria")
            dialog.get_by_label("Expires").select_option("P30D")
            dialog.get_by_role("button", name="Make the key").click()
            secret = dialog.get_by_label("The new key").inner_text()
            asked = httpx.get(f"{server.url}/v1/instances", headers={"Authorization": f"Bearer {secret}"})
            assert asked.status_code == 200
            dialog.get_by_role("button", name="I have kept it").click()
            row = page.locator("tbody tr", has_text="maria")
            expect(row).to_contain_text("plan")
            expect(row).to_contain_text("Valid")
            expect(page.get_by_text(secret)).to_have_count(0)
            row.get_by_role("button", name="Revoke").click()
            page.get_by_role("button", name="Revoke it").click()
            expect(row).to_contain_text("Revoked")
            refused = httpx.get(f"{server.url}/v1/instances", headers={"Authorization": f"Bearer {secret}"})
            assert refused.status_code == 401

    def test_a_key_is_rotated_and_both_secrets_work(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            old = httpx.post(f"{server.url}/v1/keys", json={"name": "robot", "scopes": ["read"]}).json()["secret"]
            page.goto("/#/settings?tab=keys")
            page.locator("tbody tr", has_text="robot").get_by_role("button", name="Rotate").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_role("button", name="Make the new secret").click()
            new = dialog.get_by_label("The new key").inner_text()
            dialog.get_by_role("button", name="I have kept it").click()
            expect(page.locator("tbody tr", has_text="robot")).to_contain_text("Two secrets")
            for secret in (old, new):
                asked = httpx.get(f"{server.url}/v1/instances", headers={"Authorization": f"Bearer {secret}"})
                assert asked.status_code == 200

    def test_a_refused_name_is_told_in_the_dialog_and_stays_typed(self, page: Page) -> None:
        page.goto("/#/settings?tab=keys")
        page.get_by_role("button", name="New key").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Name").fill("x" * 300)
        dialog.get_by_role("button", name="Make the key").click()
        expect(dialog.get_by_role("alert")).to_contain_text("/name")
        expect(dialog.get_by_label("Name")).to_have_value("x" * 300)


class TestAudit:
    def test_it_tells_who_changed_what_and_narrows(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            key = httpx.post(f"{server.url}/v1/keys", json={"name": "robot", "scopes": ["read"]}).json()["id"]
            for number in range(60):
                document = example_document() | {"name": f"store-{number}"}
                httpx.post(f"{server.url}/v1/instances", json=document).raise_for_status()
            page.goto("/#/settings?tab=audit")
            rows = page.locator("tbody tr")
            expect(rows).to_have_count(50)
            expect(rows.first).to_contain_text("store-59")
            page.get_by_role("button", name="Older ones").click()
            expect(rows).to_have_count(61)
            page.get_by_label("Show", exact=True).select_option(label="keys")
            expect(rows).to_have_count(1)
            expect(rows.first).to_contain_text("robot")
            page.get_by_role("button", name=f"Only {key}").click()
            expect(page.get_by_role("button", name="Show all")).to_be_visible()


class TestBrowser:
    def test_colours_and_the_age_of_a_state_are_kept(self, page: Page) -> None:
        page.goto("/#/settings?tab=browser")
        page.get_by_label("Dark", exact=True).check()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        hours = page.get_by_label("A state is out of date after", exact=False)
        hours.fill("0")
        expect(page.get_by_text("A number above 0")).to_be_visible()
        hours.fill("6")
        page.reload()
        expect(hours).to_have_value("6")
        expect(page.get_by_label("Dark", exact=True)).to_be_checked()

    def test_a_key_is_given_and_forgotten(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            made = httpx.post(f"{server.url}/v1/keys", json={"name": "me", "scopes": ["admin"]}).json()
            page.goto("/#/settings?tab=browser")
            page.get_by_label("Another key").fill(made["secret"])
            page.get_by_role("button", name="Use this key").click()
            expect(page.get_by_text("Requests of this browser carry a key.")).to_be_visible()
            page.get_by_role("tab", name="Keys").click()
            expect(page.locator("tbody tr", has_text="me")).not_to_contain_text("never used")
            page.get_by_role("tab", name="This browser").click()
            page.get_by_role("button", name="Forget the key").click()
            expect(page.get_by_text("Requests of this browser carry no key.")).to_be_visible()
