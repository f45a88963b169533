"""The frame of every page: its files, its headers, its navigation, and what it tells when the server is lost."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.dashboard.files import FOLDER
from tests.dashboard.browser import TABLET, is_cut, opened, settle
from tests.service.api_server import Server, make_settings, running

BROWSER = {"Accept": "text/html,*/*"}


class TestFiles:
    def test_the_page_is_for_browsers_and_the_root_document_for_others(self, site: Server) -> None:
        assert httpx.get(f"{site.url}/", headers=BROWSER).headers["content-type"].startswith("text/html")
        assert httpx.get(f"{site.url}/").json()["openapi"] == "/openapi.json"

    def test_every_file_the_page_names_is_there_for_good(self, site: Server) -> None:
        page = httpx.get(f"{site.url}/", headers=BROWSER)
        names = re.findall(r'(?:src|href)="(/dashboard/[^"]+)"', page.text)
        assert len(names) >= 6
        for name in names:
            answer = httpx.get(site.url + name)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]

    def test_files_are_packed_for_who_can_unpack_them(self, site: Server) -> None:
        page = httpx.get(f"{site.url}/", headers=BROWSER).text
        base = re.search(r"/dashboard/[0-9a-f]+", page)
        assert base is not None
        chart = f"{site.url}{base[0]}/vendor/echarts.js"
        with httpx.stream("GET", chart) as packed:
            assert packed.headers["content-encoding"] == "gzip"
            assert sum(len(part) for part in packed.iter_raw()) < 500_000
        plain = httpx.get(chart, headers={"Accept-Encoding": "identity"})
        assert hashlib.sha256(plain.content).hexdigest() in (FOLDER / "vendor" / "README.md").read_text()

    @pytest.mark.parametrize("name", ["../files.py", "%2e%2e/files.py", "..%2ffiles.py", "pages", "", "x" * 300])
    def test_a_path_reaches_nothing_but_the_files(self, site: Server, name: str) -> None:
        base = re.search(r"/dashboard/[0-9a-f]+/", httpx.get(f"{site.url}/", headers=BROWSER).text)
        assert base is not None
        answer = httpx.get(f"{site.url}{base[0]}{name}")
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/problem+json"

    def test_the_page_may_run_and_call_nothing_but_its_own(self, site: Server) -> None:
        answers = [httpx.get(f"{site.url}/", headers=BROWSER) for _ in range(2)]
        policies = [answer.headers["content-security-policy"] for answer in answers]
        assert policies[0] != policies[1]  # a fresh nonce each time
        assert "unsafe-eval" not in policies[0]
        assert "script-src 'self' 'nonce-" in policies[0]
        assert "frame-ancestors 'none'" in policies[0]

    def test_libraries_of_others_are_as_listed(self) -> None:
        listed = dict(
            re.findall(r"\| `([^`]+)` \|.*`([0-9a-f]{64})` \|", (FOLDER / "vendor" / "README.md").read_text())
        )
        files = [path for path in (FOLDER / "vendor").iterdir() if path.suffix in (".js", ".css")]
        assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == listed

    def test_no_file_of_ours_calls_another_address(self) -> None:
        ours = [p for p in FOLDER.rglob("*") if p.suffix in (".js", ".css", ".html") and p.parent.name != "vendor"]
        assert len(ours) > 15
        for path in ours:
            assert "https://" not in path.read_text(), path
            assert "http://" not in path.read_text().replace("http://www.w3.org", ""), path


class TestNavigation:
    def test_every_item_opens_its_page(self, page: Page) -> None:
        page.goto("/")
        items = page.locator("nav.nav a.item")
        expect(items.first).to_have_attribute("aria-current", "page")
        for index in range(items.count()):
            items.nth(index).click()
            expect(items.nth(index)).to_have_attribute("aria-current", "page")
            expect(page.locator("main h1")).to_be_visible()

    def test_the_keyboard_reaches_the_page_past_the_navigation(self, page: Page) -> None:
        page.goto("/")
        settle(page)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()

    def test_an_unknown_address_says_so(self, page: Page) -> None:
        page.goto("/#/nowhere")
        expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()

    def test_colours_are_chosen_and_remembered(self, page: Page) -> None:
        page.goto("/")
        page.get_by_role("button", name="Dark colours").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    def test_what_was_asked_is_shown_as_curl(self, page: Page) -> None:
        page.goto("/")
        settle(page)
        page.get_by_role("button", name="Copy as curl").click()
        expect(page.locator("dialog[open] pre")).to_contain_text("curl -s --fail-with-body")
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)

    def test_it_is_accessible(self, page: Page, axe: Callable[[Page], None]) -> None:
        page.goto("/")
        settle(page)
        axe(page)

    def test_nothing_is_cut_on_a_tablet(self, browser: Browser, site: Server) -> None:
        with opened(browser, site.url, viewport=TABLET) as page:
            page.goto("/")
            settle(page)
            assert not is_cut(page)


class TestLostServer:
    def test_it_is_told_and_the_page_goes_on(self, browser: Browser, tmp_path: Path) -> None:
        settings = make_settings(tmp_path)
        with ExitStack() as page_lives:
            with running(settings) as server:
                page = page_lives.enter_context(opened(browser, server.url))
                page.goto("/")
                settle(page)
            lost = page.get_by_text("The server does not answer")
            expect(lost).to_be_visible(timeout=15_000)
            with running(settings, port=int(server.url.rsplit(":", 1)[1])):
                expect(lost).to_have_count(0, timeout=15_000)
                expect(page.locator("main h1")).to_be_visible()


class TestKeys:
    def test_a_service_with_keys_asks_for_one(self, browser: Browser, tmp_path: Path) -> None:
        with running(make_settings(tmp_path, require_keys=True)) as server, opened(browser, server.url) as page:
            page.goto("/")
            dialog = page.get_by_role("dialog", name="This service asks for a key")
            expect(dialog).to_be_visible()
            dialog.get_by_label("Key", exact=True).fill("hnk_wrong")
            dialog.get_by_role("button", name="Use this key").click()
            expect(dialog.get_by_role("alert")).to_contain_text("unknown, revoked or expired")


class TestReference:
    """`/docs`: the OpenAPI document in a viewer that asks no other server."""

    def test_it_shows_every_resource_from_our_own_files_alone(self, page: Page, site: Server) -> None:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto("/docs")
        for tag in ("instances", "jobs", "policies", "audit"):
            expect(page.locator(f"#operations-tag-{tag}")).to_be_visible()
        page.locator("#operations-audit-list_audit .opblock-summary").click()
        expect(page.get_by_text("Only these actions.")).to_be_visible()
        assert [url for url in asked if not url.startswith((site.url, "data:", "blob:"))] == []

    def test_no_address_changes_what_it_shows(self, page: Page) -> None:
        page.goto("/docs?url=https://evil.example/openapi.json&configUrl=https://evil.example/config.json")
        expect(page.locator("#operations-tag-jobs")).to_be_visible()
