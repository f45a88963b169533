"""Policies: the list, the certificate as a picture, paths, versions side by side, aliases under If-Match."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.dashboard.stored import add_evaluation, add_proved, add_verdict, certificate
from tests.service.api_server import Server
from tests.service.test_api_reproduce import FOUND, receipt

CURVE = [{"iteration": 10.0 * k, "seconds": 1.0 * k, "cost": 20.0 / k, "best_cost": 20.0 / k} for k in range(1, 6)]
ORIGIN = {"training": {"seconds": 12.0, "device": "cpu", "iterations": 50, "stopped_by": "finished"}, "curve": CURVE}


@pytest.fixture(scope="module")
def proved(site: Server) -> dict[str, str]:
    """A good policy in two versions, one that a rule beats, one without a bound."""
    good = {"description": {"base_stock_level": 12.5}, **ORIGIN}
    made = {"first": add_proved(site, "good", 1, certificate=certificate(210, 220, 190), **good)}
    made["second"] = add_proved(site, "good", 2, certificate=certificate(200, 220, 190), seed=9, **ORIGIN)
    made["rule"] = add_proved(site, "beaten-rule", certificate=certificate(205, 250, 190))
    made["beaten"] = add_proved(site, "beaten", certificate=certificate(240, 205, 190), better_rule=made["rule"])
    made["boundless"] = add_proved(site, "boundless", certificate=certificate(200, 220, None))
    add_evaluation(site, made["first"], "good")
    return made


def put_alias(site: Server, name: str, alias: str, version: int) -> str:
    """Make an alias as somebody else would; its etag."""
    answer = httpx.put(
        f"{site.url}/v1/policies/{name}/aliases/{alias}", json={"version": version}, headers={"If-None-Match": "*"}
    )
    return str(answer.json()["etag"])


class TestList:
    def test_it_shows_every_name_with_what_it_is_worth(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies")
        good = page.get_by_role("row").filter(has=page.get_by_role("link", name="good", exact=True))
        expect(good).to_contain_text("version 2 of 2")
        expect(good).to_contain_text("5.3 %")
        boundless = page.get_by_role("row").filter(has_text="boundless").first
        expect(boundless).to_contain_text("no bound")
        beaten = page.get_by_role("row").filter(has=page.get_by_role("link", name="beaten", exact=True))
        expect(beaten).to_contain_text("not recommended")

    def test_names_are_filtered(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies")
        page.get_by_label("Name").fill("beaten-")
        expect(page.get_by_role("link", name="beaten-rule", exact=True).first).to_be_visible()
        expect(page.get_by_role("link", name="good", exact=True)).to_have_count(0)

    def test_it_is_accessible(self, page: Page, proved: dict[str, str], axe: Callable[[Page], None]) -> None:
        page.goto("/#/policies")
        settle(page)
        axe(page)


class TestProof:
    def test_the_certificate_is_told_and_drawn(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:2")
        expect(page.get_by_text("It lies 5.3 % above the lower bound")).to_be_visible()
        settle(page)
        for drawn in ("Cost a stage of good, Base stock beside the lower bound", "Paired differences", "Histogram"):
            expect(page.get_by_role("img", name=re.compile(drawn))).to_be_visible()
        page.get_by_text("As numbers").nth(1).click()
        row = page.get_by_role("row", name=re.compile("Base stock 1 0.85 1.15 80 surely dearer"))
        expect(row).to_be_visible()

    def test_a_policy_that_a_rule_beats_says_so_and_offers_the_rule(self, page: Page, proved: dict[str, str]) -> None:
        page.goto(f"/#/policies/{proved['beaten']}")
        expect(page.get_by_text("A classical rule does better.")).to_be_visible()
        page.get_by_role("link", name="Use the better rule instead").click()
        expect(page.get_by_role("heading", name="beaten-rule")).to_be_visible()

    def test_no_bound_is_told_with_its_reason(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/boundless")
        expect(page.get_by_text("No lower bound is known")).to_be_visible()
        expect(page.get_by_text("Perfect information: time was up").first).to_be_visible()

    def test_places_are_a_table(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good")
        settle(page)
        page.get_by_text("By place (1)").click()
        expect(page.get_by_role("gridcell", name="north")).to_be_visible()

    def test_it_is_accessible_and_fits_a_tablet(
        self, browser: Browser, site: Server, proved: dict[str, str], axe: Callable[[Page], None]
    ) -> None:
        with opened(browser, site.url, viewport=TABLET) as page:
            for tab in ("proof", "operation", "training", "versions"):
                page.goto(f"/#/policies/good:1?tab={tab}")
                expect(page.get_by_role("tab", selected=True)).to_be_visible()
                settle(page)
                assert not is_cut(page), tab
                axe(page)

    def test_an_unknown_policy_is_refused_in_words(self, page: Page) -> None:
        page.goto("/#/policies/nobody")
        expect(page.get_by_role("alert")).to_contain_text("Not found")


class TestOperation:
    def test_paths_of_its_evaluation_are_ribbons_and_single_scenarios(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:1?tab=operation")
        expect(page.get_by_role("img", name="On hand: good:1: quantiles by stage")).to_be_visible()
        page.get_by_label("Single scenarios too").check()
        expect(page.get_by_text("Grey lines are single scenarios")).to_be_visible()
        page.get_by_label("Beside").select_option("base_stock")
        expect(page.get_by_role("img", name="On hand: Base stock: quantiles by stage")).to_be_visible()

    def test_what_was_not_simulated_is_simulated_from_here(
        self, page: Page, site: Server, proved: dict[str, str]
    ) -> None:
        page.goto("/#/policies/boundless?tab=operation")
        page.get_by_role("button", name="Simulate 512 scenarios").click()
        expect(page.get_by_role("link", name="Simulation")).to_be_visible()
        queued = httpx.get(f"{site.url}/v1/jobs?kind=evaluate&state=queued").json()["items"]
        assert any(job["config"]["policies"] == [proved["boundless"]] for job in queued)


class TestTraining:
    def test_origin_curve_and_words_are_shown(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:1?tab=training")
        expect(page.get_by_role("img", name=re.compile("Cost a stage by iteration"))).to_be_visible()
        expect(page.get_by_text("50 iterations in 12 s on cpu")).to_be_visible()
        expect(page.get_by_text("12.5", exact=True)).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download the card").click()
        assert saved.value.suggested_filename == "good-1.json"


class TestReceipt:
    def test_it_is_shown_with_what_making_it_again_showed(
        self, page: Page, site: Server, axe: Callable[[Page], None]
    ) -> None:
        told = {**FOUND, "job_id": "job_01K9ZV6Q5RJ8XAMB4T0CWD3EFG", "at": "2026-11-26T07:00:00+00:00"}
        card = {"certificate": certificate(200, 220, 190), "receipt": receipt(), "reproduction": told}
        policy_id = add_proved(site, "receipted", **card, **ORIGIN)
        page.goto("/#/policies/receipted?tab=training")
        expect(page.get_by_text("cpu, any, 1 thread, AVX2")).to_be_visible()
        made = page.get_by_role("region", name="Made again")
        expect(made).to_contain_text("Other weights, but the costs cannot be told apart.")
        expect(made.get_by_role("row", name="torch 2.12 2.13")).to_be_visible()
        settle(page)
        axe(page)
        page.get_by_role("button", name="Make it again").click()
        expect(page.get_by_role("link", name="Reproduction")).to_be_visible()
        queued = httpx.get(f"{site.url}/v1/jobs?kind=reproduce").json()["items"]
        assert queued[0]["config"]["policies"] == [policy_id]

    def test_older_policies_say_that_they_have_none(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:1?tab=training")
        expect(page.get_by_text("made before receipts were kept")).to_be_visible()


class TestVersions:
    def test_versions_are_set_side_by_side(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:2?tab=versions")
        page.get_by_label("Compare version 1").check()
        expect(page.get_by_role("img", name=re.compile("Cost a stage of Version 2, Version 1"))).to_be_visible()
        differing = page.get_by_role("region", name="Settings that differ")
        expect(differing.get_by_role("row").filter(has_text="seed")).to_contain_text("9")

    def test_a_version_is_put_in_use_moved_and_taken_out(
        self, page: Page, site: Server, proved: dict[str, str]
    ) -> None:
        page.goto("/#/policies/good:1?tab=versions")
        page.get_by_label("Alias", exact=True).fill("for-test")
        page.get_by_label("Why").fill("it was asked for")
        page.get_by_role("button", name="Put in use").click()
        row = page.get_by_role("row").filter(has_text="for-test").first
        expect(row).to_contain_text("it was asked for")
        page.goto("/#/policies/good:2?tab=versions")
        page.get_by_label("Alias", exact=True).fill("for-test")
        expect(page.get_by_text("It names version 1 now")).to_be_visible()
        page.get_by_role("button", name="Move it here").click()
        expect(page.get_by_text("It names this version already.")).to_be_visible()
        assert httpx.get(f"{site.url}/v1/policies/good@for-test").json()["version"] == 2
        page.get_by_role("row").filter(has_text="for-test").first.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_text("It does not exist yet")).to_be_visible()
        assert httpx.get(f"{site.url}/v1/policies/good@for-test").status_code == 404

    def test_an_alias_moved_meanwhile_by_somebody_else_shows_both(
        self, page: Page, site: Server, proved: dict[str, str]
    ) -> None:
        etag = put_alias(site, "good", "contested", 1)
        page.goto("/#/policies/good:2?tab=versions")
        page.get_by_label("Alias", exact=True).fill("contested")
        expect(page.get_by_text("It names version 1 now")).to_be_visible()
        body = {"version": 1, "note": "checked by Maria"}
        headers = {"If-Match": f'"{etag}"'}
        httpx.put(f"{site.url}/v1/policies/good/aliases/contested", json=body, headers=headers).raise_for_status()
        page.get_by_role("button", name="Move it here").click()
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Somebody else moved contested meanwhile.")
        expect(alert).to_contain_text("checked by Maria")
        alert.get_by_role("button", name="Move it to version 2 all the same").click()
        expect(page.get_by_text("It names this version already.")).to_be_visible()
        assert httpx.get(f"{site.url}/v1/policies/good@contested").json()["version"] == 2

    def test_deleting_what_is_in_use_is_refused_in_the_question(
        self, page: Page, site: Server, proved: dict[str, str]
    ) -> None:
        put_alias(site, "boundless", "kept", 1)
        page.goto("/#/policies/boundless")
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("In use")


class TestAcceptance:
    def test_a_guarded_alias_asks_for_a_passed_test(self, page: Page, site: Server, proved: dict[str, str]) -> None:
        policy_id = add_proved(site, "guarded", certificate=certificate(200, 220, 190))
        page.goto("/#/policies/guarded?tab=versions")
        page.get_by_role("button", name="New test").click()
        page.get_by_label("Compared with rule").select_option("base_stock")
        page.get_by_label("May cost more by [%]").fill("2")
        page.get_by_role("button", name="Make the test").click()
        test = page.get_by_role("article", name="Test no-dearer")
        expect(test).to_contain_text("with 95 % confidence at most 2.0 % dearer than base stock")
        expect(test).to_contain_text("Version 1 has not been put to it.")
        page.get_by_role("button", name="Put in use").click()
        expect(page.get_by_text("this version has not been put to the test")).to_be_visible()
        made = httpx.get(f"{site.url}/v1/policies/guarded/acceptance-tests").json()["items"][0]
        add_verdict(site, made["id"], policy_id, False, "costs 5.00 % more")
        page.reload()
        expect(test).to_contain_text("costs 5.00 % more")
        expect(page.get_by_text("Guarded by")).to_be_visible()
        page.get_by_role("button", name="Put in use").click()
        expect(page.get_by_text("no-dearer: failed")).to_be_visible()
        add_verdict(site, made["id"], policy_id, True, "costs 1.00 % more")
        page.reload()
        expect(test).to_contain_text("costs 1.00 % more")
        page.get_by_role("button", name="Put in use").click()
        expect(page.get_by_text("It names this version already.")).to_be_visible()

    def test_a_version_is_put_to_the_test_from_here(
        self, page: Page, site: Server, proved: dict[str, str], axe: Callable[[Page], None]
    ) -> None:
        policy_id = add_proved(site, "to-try", certificate=certificate(200, 220, 190))
        instance = httpx.get(f"{site.url}/v1/policies/{policy_id}").json()["instance_id"]
        body = {"name": "quick", "instance_id": instance, "scenarios": 64, "rules": ["base_stock"]}
        httpx.post(f"{site.url}/v1/policies/to-try/acceptance-tests", json=body).raise_for_status()
        page.goto("/#/policies/to-try?tab=versions")
        page.get_by_role("button", name="Test version 1").click()
        expect(page.get_by_role("link", name="Test of version 1")).to_be_visible()
        settle(page)
        axe(page)
        assert httpx.get(f"{site.url}/v1/jobs?kind=accept").json()["items"]

    def test_refusals_stand_beside_their_fields(self, page: Page, proved: dict[str, str]) -> None:
        page.goto("/#/policies/good:1?tab=versions")
        page.get_by_role("button", name="New test").click()
        page.get_by_label("Name of the test").fill("Not A Name")
        page.get_by_role("button", name="Make the test").click()
        expect(page.get_by_label("Name of the test")).to_have_attribute("aria-invalid", "true")
