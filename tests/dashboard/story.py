"""One planner's way by clicks alone: from an empty service to an accepted recommendation and a comparison.

Told by `tests/dashboard/test_story.py` for each problem, and by `make screenshots`, which keeps the pictures for
`docs/dashboard.md`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.cli.terminal import serving
from tests.dashboard.browser import MISSING, TABLET, chromium, executable, opened, settle

LONG = 240_000  # milliseconds a training or an evaluation may take on a busy machine
WHOLE = "inventory_network"  # the chapter whose every picture is kept
KEPT = ("instance", "policy", "decide", "compare")  # of the others


@dataclass(frozen=True)
class Chapter:
    """What is told for one problem: an example of it, and how it is trained."""

    problem: str  # as pages title it
    example: str
    solver: str  # as pages title it
    settings: dict[str, str] = field(default_factory=dict)  # label → what is typed under "More"
    minutes: str = "1"  # that training may take
    rules_first: bool = True  # whether the classical rules are measured before
    scenarios: str = "128"  # of the comparison
    compare_minutes: str = "10"  # that it may take


CHAPTERS = {
    "inventory_network": Chapter("Inventory network", "dc-two-stores", "HDPO", {"Iterations": "300"}),
    "lot_sizing": Chapter("Lot sizing", "two-items", "PDPPO", {"Iterations": "30"}),
    "hydrothermal": Chapter("Hydrothermal dispatch", "cascade_three", "SDDP", {"Iterations": "25"}),
}

Shot = Callable[[str], None]


def tell(page: Page, chapter: Chapter, name: str, shot: Shot) -> None:
    """Everything from the first page to the comparison; `shot` is called with the name of each picture."""
    page.goto("/")
    settle(page)
    shot("home-empty")
    _instance(page, chapter, shot)
    _train(page, chapter, name, shot)
    _policy(page, name, shot)
    _decide(page, name, shot)
    _compare(page, name, chapter, shot)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Home").click()
    expect(page.get_by_role("main").get_by_text(name).first).to_be_visible()
    settle(page)
    shot("home")


def _item(page: Page, label: str) -> None:
    page.get_by_role("navigation", name="Main").get_by_role("link", name=label, exact=True).click()


def _instance(page: Page, chapter: Chapter, shot: Shot) -> None:
    _item(page, "Instances")
    page.get_by_role("link", name="New instance").first.click()
    page.get_by_role("radio", name=chapter.problem).check()
    settle(page)
    shot("instance-new")
    page.locator("li.card", has_text=f"{chapter.example} ").get_by_role("button", name="Create").click()
    expect(page.get_by_role("tab", name="Figures")).to_be_visible()
    settle(page)
    shot("instance")


def _train(page: Page, chapter: Chapter, name: str, shot: Shot) -> None:
    page.get_by_role("link", name="Train a policy").click()
    page.get_by_role("radio", name=re.compile(rf"^{chapter.solver}")).check()
    page.get_by_label("Name of the policy").fill(name)
    page.get_by_label("Time limit in minutes").fill(chapter.minutes)
    page.get_by_label("Measure the classical rules and the lower bound first").set_checked(chapter.rules_first)
    page.get_by_text("More: every setting").click()
    for label, value in chapter.settings.items():
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_label(label, exact=True).blur()
    settle(page)
    shot("train")
    page.get_by_role("button", name="Start training").click()
    expect(page.get_by_role("listitem").filter(has_text="Running")).to_be_visible(timeout=LONG)
    expect(page.get_by_text(re.compile(f"Policy {name}, version 1,"))).to_be_visible(timeout=LONG)
    settle(page)
    shot("job")


def _policy(page: Page, name: str, shot: Shot) -> None:
    page.get_by_role("link", name="Open the policy").click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    settle(page)
    shot("policy")
    page.get_by_role("tab", name="Versions and aliases").click()
    page.get_by_label("Alias", exact=True).fill("production")
    page.get_by_role("button", name="Put in use").click()
    expect(page.get_by_role("row").filter(has_text="production").first).to_be_visible()
    shot("policy-in-use")


def _decide(page: Page, name: str, shot: Shot) -> None:
    _item(page, "Decide")
    page.get_by_role("main").get_by_role("link", name=re.compile(name)).first.click()
    page.get_by_role("button", name="Recommend", exact=True).click()
    expect(page.get_by_role("heading", name="Recommended decision")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("group", name="Recommended decision").locator("[row-id]").first).to_be_visible()
    settle(page)
    shot("decide")
    page.get_by_role("button", name="Accept", exact=True).click()
    expect(page.get_by_text("Accepted").first).to_be_visible()


def _compare(page: Page, name: str, chapter: Chapter, shot: Shot) -> None:
    _item(page, "Evaluate")
    page.get_by_label("Problem").select_option(label=chapter.problem)
    page.get_by_label(re.compile(f"^{name}:1")).check()
    page.get_by_label(chapter.example.replace("_", "-")).check()
    page.get_by_role("group", name=re.compile("Classical rules")).get_by_role("checkbox").first.check()
    page.get_by_label("Number of scenarios").fill(chapter.scenarios)
    page.get_by_label("Time limit for each instance").fill(chapter.compare_minutes)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("img", name=re.compile("^Cost beside each other|Cost a stage"))).to_be_visible(timeout=LONG)
    settle(page)
    shot("compare")


def main() -> None:
    """Write the pictures of `docs/dashboard.md` into a folder: every chapter, and one page dark, on a tablet."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    path = executable()
    if path is None:
        raise SystemExit(MISSING)
    with tempfile.TemporaryDirectory() as data, chromium(path) as browser:
        for problem, chapter in CHAPTERS.items():
            name = problem.replace("_", "-")
            with serving(Path(data) / problem) as server:
                with opened(browser, server.url) as page:
                    tell(page, chapter, name, _keeper(page, folder, problem))
                if problem == WHOLE:
                    with opened(browser, server.url, theme="dark", viewport=TABLET) as page:
                        page.goto(f"/#/policies/{name}")
                        settle(page)
                        _keeper(page, folder, problem)("policy-dark-tablet")


def _keeper(page: Page, folder: Path, problem: str) -> Shot:
    def keep(name: str) -> None:
        if problem == WHOLE or name in KEPT:
            expect(page.locator(".toasts .notice")).to_have_count(0)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=folder / f"{problem}-{name}.png", full_page=True)

    return keep


if __name__ == "__main__":
    main()
