"""The README's tour, word for word, against a running service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Serving, serving
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


def test_the_tour_in_curl(server: Serving, tmp_path: Path) -> None:
    script = section("Five minutes with curl")
    changes = {"H=http://127.0.0.1:8000": f"H={server.url}", "PT2M": SECONDS, "curl -": "curl --fail-with-body -"}
    for ours, theirs in changes.items():
        assert ours in script
        script = script.replace(ours, theirs)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for answer in (
        '"issues":[',  # validate
        "event: progress",  # the stream
        "event: end",
        '"certificate"',  # the card
        "From           To",  # today's orders as a table
        '"why":["',  # and why
        "From,To,Quantity [units],Arrives in [periods]",  # a state of one's own as a spreadsheet
    ):
        assert answer in done.stdout, answer


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
    assert "perfect information (bound)" in done.stdout
    assert list((tmp_path / "herenow-artifacts").glob("*/*/weights.safetensors"))
