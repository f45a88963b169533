"""`docs/api.md` is true: its commands run from top to bottom against a fresh service, and it names every resource."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.problem_types import KINDS

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where a fresh `herenow serve` listens."""
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--data-dir", str(tmp_path / "d"), "--json"]
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env={**os.environ, **own}, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands need curl")
def test_every_command_works(url: str, tmp_path: Path) -> None:
    script = "\n".join(["set -e -o pipefail", *re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)])
    ran = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "H": url}, cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    with httpx.Client(base_url=url) as client:
        trail = client.get("/v1/recommendations?outcome=overridden").json()["items"]
        assert len(trail) == 1
        assert trail[0]["replay"]["scenarios"] == 256
        assert client.get("/v1/evaluations").json()["items"]


def test_every_resource_is_shown(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    shown = re.sub(
        r"\$[A-Z]+|corner-store(:1|@production)?|production|inventory_network|one-store-backlogged|hdpo|invalid-input",
        "*",
        PAGE,
    )
    missing = [path for path in paths if re.sub(r"\{\w+\}", "*", path) not in re.sub(r"\{\w+\}", "*", shown)]
    assert missing == []


def test_every_type_of_problem_a_request_may_meet_is_named() -> None:
    of_jobs = {slug for slug in KINDS if KINDS[slug].status == 500} - {"internal"}
    assert [slug for slug in KINDS if f"`{slug}`" not in PAGE and slug not in of_jobs] == []
