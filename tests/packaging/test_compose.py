"""The compose file: valid, safe in what it says, and its commands work together outside Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from service.settings import Settings
from tests.packaging.compose import FILE, ROOT, SECRETS, Outside, host_of, load, redis_as_composed
from tests.servers import Postgres, free_port

OURS = ("migrate", "api", "worker", "gpu-worker")


def test_it_obeys_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_it_has_every_part() -> None:
    document = load()
    assert set(document["services"]) == {*OURS, "postgres", "redis"}
    assert set(document["volumes"]) == {"artifacts", "postgres", "redis"}
    assert document["services"]["gpu-worker"]["profiles"] == ["gpu"]


def test_no_secret_is_written_in_it() -> None:
    for missing in SECRETS:
        with pytest.raises(LookupError, match=missing):
            load({name: value for name, value in SECRETS.items() if name != missing})
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line[:1].isalpha()
    )
    assert example == dict.fromkeys(SECRETS, "")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_more_rights_than_they_need(name: str) -> None:
    service = load()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_told_only_what_the_settings_know(name: str) -> None:
    environment = load()["services"][name]["environment"]
    known = {f"HERENOW_{field.upper()}" for field in Settings.model_fields}
    assert {key for key in environment if key.startswith("HERENOW_")} <= known
    assert host_of(environment["HERENOW_DATABASE_URL"]) == "postgres"
    assert host_of(environment["HERENOW_BROKER_URL"]) == "redis"


@pytest.mark.parametrize("name", OURS)
def test_the_settings_take_what_the_containers_are_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in load()["services"][name]["environment"].items():
        monkeypatch.setenv(key, value)
    settings = Settings()
    assert settings.database.startswith("postgresql+psycopg://herenow:")


def test_only_the_api_is_reached_from_outside_and_only_from_this_machine() -> None:
    services = load()["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"api"}
    assert services["api"]["ports"] == ["127.0.0.1:8000:8000"]
    assert load()["networks"]["inside"] == {"internal": True}


def test_every_server_has_a_healthcheck_and_waits_for_what_it_needs() -> None:
    services = load()["services"]
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"migrate"}
    for name in ("api", "worker", "gpu-worker"):
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "redis": {"condition": "service_healthy"},
        }
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no"


def test_a_gpu_worker_asks_for_a_gpu() -> None:
    service = load()["services"]["gpu-worker"]
    assert service["environment"]["HERENOW_DEVICE"] == "cuda"
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert "/cu" in service["build"]["args"]["TORCH_INDEX"]


@pytest.fixture
def composed_redis(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_as_composed(folder, free_port()) as url:
        yield url


def test_redis_keeps_its_queue_and_throws_nothing_away(composed_redis: str) -> None:
    with redis.Redis.from_url(composed_redis) as client:
        told = {name: client.config_get(name)[name] for name in ("appendonly", "maxmemory-policy", "appendfsync")}
    assert told == {"appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "everysec"}
    place = composed_redis.rpartition("@")[2]
    with pytest.raises(redis.AuthenticationError), redis.Redis.from_url(f"redis://{place}") as stranger:
        stranger.ping()


@pytest.mark.postgres
@pytest.mark.processes
def test_the_commands_work_together(postgres: Postgres, composed_redis: str, tmp_path: Path) -> None:
    """Migrate, first key, API, worker: as the file's head says, with every healthcheck, and one job through."""
    with postgres.database() as database_url:
        outside = Outside(database_url, composed_redis, tmp_path / "artifacts", free_port())
        early = outside.run("api")
        assert early.returncode == 1
        assert "herenow db upgrade" in early.stderr
        assert outside.run("migrate").returncode == 0
        keyless = outside.run("api")
        assert keyless.returncode == 1
        assert "herenow keys create" in keyless.stderr
        key = outside.run("api", ["keys", "create", "admin", "--scope", "admin"]).stdout.strip()
        with outside.up("api"), outside.up("worker"):
            assert outside.healthy("api", 30)
            assert outside.healthy("worker", 30)
            _one_job(f"http://127.0.0.1:{outside.port}", key)
    assert outside.healthy("worker", 1) is False


def _one_job(url: str, key: str) -> None:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        assert client.get("/v1/problems", headers={"Authorization": ""}).status_code == 401
        example = client.get("/v1/problems/inventory_network/examples/one-store-lost").json()
        instance = client.post("/v1/instances", json=example).json()["id"]
        request = {"kind": "evaluate", "instance_id": instance, "rules": ["base_stock"], "scenarios": 16}
        job = client.post("/v1/jobs", json=request | {"time_limit": "PT4S"}).json()["id"]
        deadline = time.monotonic() + 60
        while (found := client.get(f"/v1/jobs/{job}").json())["state"] not in ("succeeded", "failed", "cancelled"):
            assert time.monotonic() < deadline, found
            time.sleep(0.3)
        assert found["state"] == "succeeded", found["error"]


def test_a_real_compose_reads_it_the_same_way() -> None:
    """Where the compose plug-in is installed: `docker compose config` needs no engine."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("no docker compose on this machine")
    done = subprocess.run(
        [docker, "compose", "--file", str(FILE), "--profile", "gpu", "config", "--quiet"],
        capture_output=True,
        text=True,
        env=os.environ | SECRETS,
    )
    assert done.returncode == 0, done.stderr
