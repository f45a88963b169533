"""Home in the browser: what needs a decision, what runs, and the first steps of an empty service."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


def decided(server: Server, name: str = "orders", **answer: Any) -> str:
    """Ask a policy for a decision over the API; the recommendation's id."""
    made = httpx.post(f"{server.url}/v1/policies/{name}/recommend", json={}).json()["recommendation_id"]
    if answer:
        httpx.put(f"{server.url}/v1/recommendations/{made}/outcome", json=answer).raise_for_status()
    return str(made)


class TestEmptyService:
    def test_the_first_steps_lead_from_an_example_to_training(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url) as page:
            page.goto("/")
            expect(page.locator("li.step")).to_have_count(3)
            page.get_by_role("link", name="Choose an example").click()
            page.get_by_role("button", name="Create").first.click()
            expect(page.get_by_role("link", name="Train a policy")).to_be_visible()
            page.get_by_role("link", name="Home", exact=True).click()
            expect(page.locator("li.step").first).to_contain_text("done")
            expect(page.locator("li.step").nth(1).get_by_role("link", name="Train")).to_be_visible()

    def test_it_is_accessible(self, browser: Browser, tmp_path: Path, axe: Callable[[Page], None]) -> None:
        with running(make_settings(tmp_path)) as server, opened(browser, server.url, viewport=TABLET) as page:
            page.goto("/")
            settle(page)
            axe(page)
            assert not is_cut(page)


class TestPolicies:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Any:
        with running(make_settings(tmp_path)) as server:
            add_policy(server, example_document())
            yield server

    def test_a_policy_nobody_asked_needs_a_decision(self, browser: Browser, server: Server) -> None:
        with opened(browser, server.url) as page:
            page.goto("/")
            card = page.get_by_role("region", name="orders", exact=True)
            expect(card).to_contain_text("Nothing was asked of it yet.")
            expect(page.get_by_text("No version is in use by name yet")).to_be_visible()
            card.get_by_role("link", name="Decide with orders").click()
            expect(page).to_have_url(f"{server.url}/#/decide/orders")

    def test_the_last_recommendation_stands_with_its_lines_and_outcome(self, browser: Browser, server: Server) -> None:
        httpx.put(
            f"{server.url}/v1/policies/orders/aliases/production", json={"version": 1}, headers={"If-None-Match": "*"}
        ).raise_for_status()
        decided(server)
        with opened(browser, server.url) as page:
            page.goto("/")
            card = page.get_by_role("region", name="orders", exact=True)
            expect(card).to_contain_text("production")
            expect(card).to_contain_text("Not judged yet")
            expect(card.locator("tbody tr").or_(card.get_by_text("It asks for nothing"))).not_to_have_count(0)
            decided(server, "orders@production", outcome="accepted")
            expect(card.get_by_text("Accepted")).to_be_visible(timeout=10_000)  # the page looks again by itself
            expect(page.get_by_text("Recommendations to judge").locator("..")).to_contain_text("1")

    def test_an_old_state_is_told(self, browser: Browser, server: Server) -> None:
        decided(server, outcome="accepted")
        with opened(browser, server.url) as page:
            page.goto("/")
            need = page.get_by_text("Need a decision").locator("..")
            expect(need).to_contain_text("0")
            page.evaluate("() => localStorage.setItem('herenow.stale_hours', '1e-9')")
            page.reload()
            expect(page.get_by_role("region", name="orders", exact=True)).to_contain_text("State older than")
            expect(need).to_contain_text("1")

    def test_alerts_of_the_last_recommendation_are_told(self, browser: Browser, server: Server) -> None:
        decided(server)

        def alarmed(route: Route) -> None:
            record = route.fetch().json()
            alert = {"severity": "critical", "pointer": "/on_hand", "title": "Stock-out likely", "detail": "By noon."}
            known = {"severity": "info", "pointer": "", "title": "Nothing to worry about", "detail": ""}
            record["response"] |= {"in_training_range": False, "alerts": [known, alert]}
            route.fulfill(json=record)

        with opened(browser, server.url) as page:
            page.route("**/v1/recommendations/rec_*", alarmed)
            page.goto("/")
            alerts = page.get_by_role("list", name="Alerts")
            expect(alerts.get_by_role("listitem")).to_have_count(2)
            expect(alerts).to_contain_text("Stock-out likely")
            expect(alerts).to_contain_text("State outside what training has seen")

    def test_it_is_accessible(self, browser: Browser, server: Server, axe: Callable[[Page], None]) -> None:
        decided(server)
        with opened(browser, server.url) as page:
            page.goto("/")
            settle(page)
            axe(page)


@pytest.mark.processes
class TestJobs:
    def test_a_running_job_is_seen_until_its_policy_is_there(self, live_page: Page, live_client: httpx.Client) -> None:
        document = live_client.get("/v1/problems/inventory_network/examples/one-store-lost").json()
        instance_id = live_client.post("/v1/instances", json=document).json()["id"]
        body = {"kind": "train", "instance_id": instance_id, "solver": "hdpo", "policy_name": "seen-at-home"}
        body |= {"config": {"iterations": 3}, "seed": 1, "time_limit": "PT5S"}
        live_client.post("/v1/jobs", json=body).raise_for_status()
        live_page.goto("/")
        expect(live_page.get_by_role("progressbar", name="Progress of Training seen-at-home")).to_be_visible()
        expect(live_page.get_by_role("region", name="seen-at-home", exact=True)).to_be_visible(timeout=90_000)
