"""Fixtures of the browser tests: Chromium, a page, an API to look at, a whole service to work with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.cli.terminal import Serving, serving
from tests.dashboard.browser import MISSING, chromium, executable, opened, settle, violations
from tests.service.api_server import Server, add_policy, example_document, make_settings, running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for the session."""
    path = executable()
    if path is None:
        pytest.skip(MISSING)
    with chromium(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API without workers, with an untrained policy `orders` for the first example."""
    with running(make_settings(tmp_path_factory.mktemp("site"))) as server:
        add_policy(server, example_document())
        yield server


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A whole service with its worker, empty at first."""
    with serving(tmp_path_factory.mktemp("live") / "data") as server:
        yield server


@pytest.fixture
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """A fresh profile on `site`; exceptions and console errors fail the test."""
    with opened(browser, site.url) as page:
        yield page


@pytest.fixture
def live_page(browser: Browser, live_site: Serving) -> Iterator[Page]:
    """A fresh profile on `live_site`."""
    with opened(browser, live_site.url) as page:
        yield page


@pytest.fixture
def live_client(live_site: Serving) -> Iterator[httpx.Client]:
    """The API of `live_site`, to prepare what a page shall show."""
    with httpx.Client(base_url=live_site.url, timeout=60) as client:
        yield client


@pytest.fixture
def axe(browser: Browser) -> Callable[[Page], None]:
    """Check a page as it stands, in light and in dark."""

    def check(page: Page) -> None:
        for theme in ("light", "dark"):
            page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
            settle(page)
            assert violations(page) == [], theme

    return check
