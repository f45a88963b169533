"""Chromium as installed on the machine, driven by Playwright; what a page must not do; how accessible it is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium on this machine: `make setup-browser` installs Debian's"
# Nothing reaches out of the machine: without these a fresh profile asks its maker's hosts.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE = {"width": 1280, "height": 900}
TABLET = {"width": 820, "height": 1180}
PATIENCE = 30_000  # milliseconds: the machine may be busy with the other tests
expect.set_options(timeout=PATIENCE)


def executable() -> str | None:
    """The browser's path; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            browser.close()


class Faults:
    """What a page did that it must not: exceptions, console errors, breaches of the content security policy."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("pageerror", lambda error: self.found.append(f"exception: {error}"))
        page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser itself writes this for every refusal (4xx) and for a lost server; the page must tell them.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.found.append(f"console: {message.text}")


@contextmanager
def opened(browser: Browser, url: str, theme: str = "light", **options: Any) -> Iterator[Page]:
    """A page of a fresh profile; AssertionError at its end for any fault."""
    context: BrowserContext = browser.new_context(
        base_url=url, color_scheme=theme, locale="en-GB", timezone_id="UTC", **({"viewport": WIDE} | options)
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults = Faults(page)
    try:
        yield page
        assert not faults.found, "\n".join(faults.found)
    finally:
        context.close()


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page as it stands, by WCAG 2.1 A and AA, one line each."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    response = Axe().run(page, options={"runOnly": {"type": "tag", "values": tags}}).response
    return [
        f"{rule['id']}: {rule['help']} at {node['target']}: {node.get('failureSummary', '')}"
        for rule in response["violations"]
        for node in rule["nodes"][:3]
    ]


def settle(page: Page) -> None:
    """Wait until nothing is being read and every chart is drawn."""
    page.wait_for_function(
        "() => !document.querySelector('.busy, .starting')"
        " && [...document.querySelectorAll('.chart')].every((chart) => chart.dataset.drawn)",
        timeout=2 * PATIENCE,
    )


def is_cut(page: Page) -> bool:
    """Whether the page is wider than the window, so that something lies outside it."""
    wider: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")
    return wider
