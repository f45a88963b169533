"""The README's tour, word for word, against a running service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.terminal import Serving, say, say_json, serving
from tests.packaging.compose import ROOT

pytestmark = pytest.mark.processes

README = (ROOT / "README.md").read_text()
SECONDS = "PT8S"  # instead of the README's time limit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("tour") / "data") as started:
        yield started


def section(title: str) -> str:
    """The code of the section with that title."""
    found = re.search(rf"^## {title}\n.*?```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


@pytest.fixture(scope="module")
def tour(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the tour's commands print; each of them must succeed."""
    script = section("Five minutes with curl")
    changes = {"H=http://127.0.0.1:8000": f"H={server.url}", "PT2M": SECONDS, "curl -": "curl --fail-with-body -"}
    for ours, theirs in changes.items():
        assert ours in script
        script = script.replace(ours, theirs)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("desk"),
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "answer",
    [
        '"issues":[',  # validate
        "event: progress",  # the stream
        "event: end",
        '"certificate"',  # the card
        "From           To",  # today's orders as a table
        '"why":["',  # and why
        "From,To,Quantity [units],Arrives in [periods]",  # a state of one's own as a spreadsheet
    ],
)
def test_the_tour_in_curl_shows(tour: str, answer: str) -> None:
    assert answer in tour


class TestRecommendFromAServer:
    """`herenow recommend --server`, on the policy the tour trained."""

    def test_a_table(self, tour: str, server: Serving) -> None:
        shown = say("recommend", "north-stores", "--server", server.url)
        assert shown.exit_code == 0, shown.stderr
        assert "Quantity [units]" in shown.stdout

    def test_json_for_a_state_with_reasons(self, tour: str, server: Serving) -> None:
        state = httpx.get(f"{server.url}/v1/policies/north-stores/state").json()["today"]
        words = ["recommend", "north-stores", "--server", server.url, "--state", "-", "--explain"]
        document = say_json(*words, stdin=json.dumps(state))
        assert document["decision"]["orders"]
        assert document["why"]

    def test_a_bad_state_is_refused_by_field(self, tour: str, server: Serving) -> None:
        words = ["recommend", "north-stores", "--server", server.url, "--state", "-"]
        result = say(*words, stdin='{"period": 0, "on_hand": {"moon": 1}}')
        assert result.exit_code == 2
        assert " /on_hand/moon " in result.stderr

    def test_an_unknown_policy_is_said(self, server: Serving) -> None:
        result = say("recommend", "nobody", "--server", server.url)
        assert result.exit_code == 2
        assert "nobody" in result.stderr or "no policy" in result.stderr.lower()


def test_the_commands_without_a_server(tmp_path: Path) -> None:
    script = section("Without a server").replace("--time-limit 30s", "--time-limit 6s")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "(bound)" in done.stdout
    assert list((tmp_path / "herenow-artifacts").glob("*/*/weights.safetensors"))
