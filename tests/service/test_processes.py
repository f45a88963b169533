"""`herenow serve --processes N`: several processes of the API at one address, kept alive and ended with the first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from service.db.migrate import upgrade
from service.db.session import Database
from tests.service.api_server import make_settings

pytestmark = pytest.mark.processes

PATIENCE = 90.0


def listeners(port: int, among: list[psutil.Process]) -> list[int]:
    """Which of these processes listen on the port."""
    found = []
    for one in among:
        try:
            held = one.net_connections("tcp")
        except psutil.Error:
            continue
        found += [one.pid for c in held if c.status == psutil.CONN_LISTEN and c.laddr.port == port]
    return found


def awaited(port: int, parent: psutil.Process, count: int) -> list[int]:
    """The processes that listen, once there are so many."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = listeners(port, [parent, *parent.children()])
        if len(found) == count:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not {count} processes listen")


def test_all_answer_and_live_and_die_together(tmp_path: Path) -> None:
    broker = tmp_path / "bells"
    (broker / "control").mkdir(parents=True)
    database = Database(make_settings(tmp_path).database)
    upgrade(database)
    database.close()
    command = [sys.executable, "-m", "service.cli", "serve", "--api-only", "--processes", "2", "--port", "0", "--json"]
    own = {"HERENOW_DATA_DIR": str(tmp_path), "HERENOW_BROKER_URL": f"filesystem://{broker}"}
    first = subprocess.Popen(
        [*command, "--stop-on-eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | own
    )
    try:
        assert first.stdout is not None
        url = json.loads(first.stdout.readline())["url"]
        parent, port = psutil.Process(first.pid), int(url.rpartition(":")[2])
        both = awaited(port, parent, 2)
        assert all(httpx.get(f"{url}/v1/problems").status_code == 200 for _ in range(12))
        other = next(pid for pid in both if pid != first.pid)
        psutil.Process(other).kill()
        again = next(pid for pid in awaited(port, parent, 2) if pid not in both or pid != first.pid)
        assert again != first.pid
    finally:
        first.terminate()
        first.wait(30)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).is_running() for pid in (other, again))
