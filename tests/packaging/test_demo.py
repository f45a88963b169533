"""The demo, with less time to train: the whole way from a posted network to today's orders."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.packaging.compose import ROOT

pytestmark = pytest.mark.processes


def test_the_demo_ends_with_orders_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "demo.py"), "--time-limit", "PT6S"],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    for words in ("Herenow is ready", "training ", "hdpo (this policy)", "From ", "Herenow is stopped"):
        assert words in shown, shown
    assert len(re.findall(r"^factory-\d +distributor-\d +[\d.]+ +\d+$", shown, re.MULTILINE)) == 5
    assert len(re.findall(r"^\$ curl -sN? http://127\.0\.0\.1:\d+/", shown, re.MULTILINE)) == 6
    assert list(tmp_path.glob("herenow*")) == []
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
