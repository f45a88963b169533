"""The client as a distribution of its own: built, imported alone, its page and example run against a real service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.terminal import Serving, say, say_json, serving

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the built wheel is unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(ROOT / "service" / "client", folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("herenow_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("page") / "data", env={"OMP_NUM_THREADS": "1"}) as started:
        yield started


def python(package: Path, code: list[str], folder: Path, server: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python with the package in front, and nothing of this tree in its path."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HERENOW_", "PYTHONPATH"))}
    env |= {"PYTHONPATH": str(package), "HERENOW_SERVER": server}
    return subprocess.run([sys.executable, *code], env=env, cwd=folder, capture_output=True, text=True, timeout=280)


def test_it_is_whole_and_brings_nothing_along(package: Path, tmp_path: Path) -> None:
    heavy = "('torch', 'numpy', 'service', 'models', 'fastapi', 'sqlalchemy')"
    code = f"import herenow_client, sys; print(herenow_client.__file__, [m for m in {heavy} if m in sys.modules])"
    told = python(package, ["-c", code], tmp_path)
    assert told.stdout.strip() == f"{package / 'herenow_client' / '__init__.py'} []", told.stderr
    assert (package / "herenow_client" / "py.typed").exists()


@pytest.fixture(scope="module")
def told(package: Path, server: Serving, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the page's examples print, run as one script."""
    folder = tmp_path_factory.mktemp("examples")
    script = folder / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)))
    done = python(package, [str(script)], folder, server.url)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_every_example_of_the_page_works(told: str) -> None:
    assert "invalid-input /periods " in told
    assert told.strip().splitlines()[-1] == "identical 0.0 []"


def test_what_was_made_again_is_on_the_card(told: str, server: Serving) -> None:
    card = httpx.get(f"{server.url}/v1/policies/corner-store").json()
    found = card["reproduction"]
    assert found["weights"]["then"] == card["receipt"]["weights"] == found["weights"]["now"]
    assert found["steps"]["then"] == card["receipt"]["steps"] == card["training"]["iterations"]
    result = httpx.get(f"{server.url}/v1/jobs/{found['job_id']}/result").json()
    assert (result["kind"], result["kept"], result["reproduction"]["verdict"]) == ("reproduce", True, "identical")


def test_the_command_line_shows_the_receipt(told: str, server: Serving) -> None:
    assert say_json("receipt", "corner-store", "--server", server.url)["seed"] == 7
    shown = say("receipt", "corner-store", "--server", server.url).stdout
    assert "hdpo, seed 7" in shown


def test_the_morning_s_script_writes_orders(told: str, package: Path, server: Serving, tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("node,on_hand\nstore,3\n")
    command = [str(ROOT / "examples" / "morning.py"), "corner-store@production", "stock.csv"]
    done = python(package, command, tmp_path, server.url)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "orders.csv").read_text().startswith("From,To,Quantity")
    (tmp_path / "stock.csv").write_text("node,on_hand\nmoon,3\n")
    refused = python(package, command, tmp_path, server.url)
    assert refused.returncode == 2
    assert "/on_hand: line 2, column node" in refused.stderr
