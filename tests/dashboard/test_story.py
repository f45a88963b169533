"""A planner's whole way in the browser, for each problem, from an empty folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from tests.cli.terminal import serving
from tests.dashboard.browser import is_cut, opened
from tests.dashboard.story import CHAPTERS, tell

pytestmark = pytest.mark.processes


@pytest.mark.timeout(600)
@pytest.mark.parametrize("problem", CHAPTERS)
def test_from_nothing_to_an_accepted_decision_and_a_comparison(problem: str, browser: Browser, tmp_path: Path) -> None:
    seen = []
    with serving(tmp_path / "data") as server, opened(browser, server.url) as page:

        def look(name: str) -> None:
            seen.append(name)
            assert not is_cut(page), name

        quick = {"minutes": "0.1", "scenarios": "16", "compare_minutes": "0.2", "rules_first": False}
        tell(page, replace(CHAPTERS[problem], **quick), "told", look)
        with httpx.Client(base_url=server.url) as client:
            kept = client.get("/v1/recommendations").json()["items"]
            compared = client.get("/v1/evaluations").json()["items"]
            in_use = client.get("/v1/policies?in_use=true").json()["items"]
    assert [item["outcome"]["outcome"] for item in kept] == ["accepted"]
    assert compared
    assert [policy["aliases"] for policy in in_use] == [["production"]]
    assert {"instance", "job", "policy", "decide", "compare", "home"} <= set(seen)
