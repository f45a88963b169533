"""The examples of an operator: systemd units and Kubernetes manifests, checked by what will read them."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate
import pytest
from typer.main import get_command

from service.cli import app
from service.settings import Settings
from tests.packaging import cluster
from tests.packaging.test_files import ROOT
from tests.servers import Postgres, free_port

UNITS = sorted((ROOT / "examples" / "deploy" / "systemd").glob("herenow*.*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
ENVIRONMENT = ROOT / "examples" / "deploy" / "systemd" / "herenow.env"
BASE = cluster.documents()
PODS = cluster.templates(BASE)
KUBERNETES = ("1.30", "1.37")  # the oldest and the newest whose schemas we hold the manifests to
ELSEWHERE = {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "POD_IP"}  # variables that are not the service's own


def takes(words: list[str]) -> bool:
    """Whether the command line has such a command and options."""
    command: Any = get_command(app)
    words = list(words)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    return all(word in options for word in words if word.startswith("--"))


def known(environment: dict[str, str]) -> set[str]:
    """Variables that neither the settings nor the machine know."""
    ours = {f"HERENOW_{name.upper()}" for name in Settings.model_fields}
    return {name for name in environment if name not in ours | ELSEWHERE and not name.startswith("AWS_")}


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """A unit's sections: names with every value they are given."""
    read: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = read.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            section.setdefault(name, []).append(value)
    return read


class TestUnits:
    """systemd."""

    def test_systemd_takes_them(self, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("no systemd-analyze on this machine; the other tests read the units without it")
        herenow = Path(sys.executable).with_name("herenow")
        assert herenow.exists()
        for path in UNITS:
            (tmp_path / path.name).write_text(path.read_text().replace("/opt/herenow/bin/herenow", str(herenow)))
        asked = [str(tmp_path / path.name.replace("@.", "@1.")) for path in UNITS if path.suffix != ".env"]
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", *asked], capture_output=True, text=True
        )
        complaints = [line for line in done.stderr.splitlines() if "herenow" in line]
        assert (complaints, done.returncode) == ([], 0), done.stderr

    @pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.name))
    def test_a_service_has_no_more_rights_than_it_needs(self, path: Path) -> None:
        service = unit(path)["Service"]
        assert service["User"] == service["Group"] == ["herenow"]
        assert service["EnvironmentFile"] == ["/etc/herenow/herenow.env"]
        for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictSUIDSGID", "LockPersonality"):
            assert service[name] == ["yes"], name
        assert service["ProtectSystem"] == ["strict"]
        assert service["CapabilityBoundingSet"] == [""]

    @pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.name))
    def test_its_command_exists(self, path: Path) -> None:
        (start,) = unit(path)["Service"]["ExecStart"]
        program, *words = start.split()
        assert program == "/opt/herenow/bin/herenow"
        assert takes(words)

    def test_a_worker_is_given_time_and_outlives_a_job_out_of_memory(self) -> None:
        for path in SERVICES:
            if "worker" in path.name:
                service = unit(path)["Service"]
                assert (service["KillMode"], service["OOMPolicy"]) == (["mixed"], ["continue"])
                settings = Settings()
                assert int(service["TimeoutStopSec"][0]) > settings.stop_seconds + settings.term_seconds

    def test_the_settings_take_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = [line for line in ENVIRONMENT.read_text().splitlines() if line and not line.startswith("#")]
        environment = dict(line.split("=", 1) for line in lines)
        given = [line for path in SERVICES for line in unit(path)["Service"].get("Environment", [])]
        own = [word for line in given for word in shlex.split(line)]
        every = environment | {word.split("=")[0]: word.split("=", 1)[1].replace("%i", "1") for word in own}
        assert known(every) == set()
        for name, value in every.items():
            monkeypatch.setenv(name, value)
        assert Settings().log_format == "json"

    def test_timers_start_services_that_are_there(self) -> None:
        for path in UNITS:
            if path.suffix == ".timer":
                assert "OnCalendar" in unit(path)["Timer"]
                assert path.with_suffix(".service") in SERVICES


class TestManifests:
    """Kubernetes."""

    @pytest.mark.parametrize("version", KUBERNETES)
    def test_they_obey_the_schemas(self, version: str) -> None:
        for document in BASE:
            kubernetes_validate.validate(document, version, strict=True)

    @pytest.mark.parametrize("folder", ["base", "s3"])
    def test_kustomize_makes_what_obeys_them(self, folder: str) -> None:
        if shutil.which("kubectl") is None:
            pytest.skip("no kubectl on this machine")
        made = cluster.kustomized(folder)
        for document in made:
            kubernetes_validate.validate(document, KUBERNETES[-1], strict=True)
        assert {d["metadata"]["name"] for d in made} <= {d["metadata"]["name"] for d in BASE}
        volumes = {name: pod["volumes"][0] for name, pod in cluster.templates(made).items()}
        kind = "persistentVolumeClaim" if folder == "base" else "emptyDir"
        assert all(volume["name"] == "data" and kind in volume for volume in volumes.values())
        if folder == "s3":
            environment = cluster.told(cluster.templates(made)["herenow-worker-cpu"], made)
            assert Settings(store_url=environment["HERENOW_STORE_URL"]).store_url.startswith("s3://")

    def test_the_list_names_every_file(self) -> None:
        listed = (cluster.FOLDER / "base" / "kustomization.yaml").read_text()
        for path in (cluster.FOLDER / "base").glob("*.yaml"):
            assert path.name == "kustomization.yaml" or f"- {path.name}" in listed

    @pytest.mark.parametrize("name", PODS)
    def test_a_pod_has_no_more_rights_than_it_needs(self, name: str) -> None:
        pod, container = PODS[name], cluster.container(PODS[name])
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert "cpu" in container["resources"]["requests"]

    @pytest.mark.parametrize("name", PODS)
    def test_its_command_and_settings_exist(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert takes(cluster.container(PODS[name])["args"])
        environment = cluster.told(PODS[name], BASE)
        assert known(environment) == set()
        for variable, value in environment.items():
            monkeypatch.setenv(variable, value)
        assert Settings().log_format == "json"

    @pytest.mark.parametrize("name", [name for name in PODS if "worker" in name or "api" in name])
    def test_what_serves_is_probed_and_given_time(self, name: str) -> None:
        container = cluster.container(PODS[name])
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports
        assert PODS[name]["terminationGracePeriodSeconds"] >= 30
        selected = {d["kind"] for d in BASE if _is_about(d, name)}
        assert selected >= ({"PodDisruptionBudget", "HorizontalPodAutoscaler"} if "gpu" not in name else set())

    def test_no_secret_is_written_in_them(self) -> None:
        (secret,) = [document for document in BASE if document["kind"] == "Secret"]
        assert all("change-me" in value for value in secret["stringData"].values())
        others = json.dumps([document for document in BASE if document["kind"] != "Secret"])
        assert "change-me" not in others
        assert "://" not in others

    def test_a_jobs_memory_is_below_its_containers(self) -> None:
        for name, pod in PODS.items():
            environment = cluster.told(pod, BASE)
            if "HERENOW_JOB_MEMORY_MB" in environment:
                limit = int(cluster.container(pod)["resources"]["limits"]["memory"].removesuffix("Gi")) * 1024
                jobs = int(environment["HERENOW_JOB_MEMORY_MB"]) * int(environment["HERENOW_CONCURRENCY"])
                assert jobs + 512 <= limit, name

    def test_a_gpu_worker_has_a_gpu(self) -> None:
        pod = PODS["herenow-worker-gpu"]
        assert cluster.container(pod)["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert cluster.told(pod, BASE)["HERENOW_QUEUES"] == '["gpu"]'


def _is_about(document: dict[str, Any], name: str) -> bool:
    spec = document.get("spec", {})
    if document["kind"] == "HorizontalPodAutoscaler":
        return bool(spec["scaleTargetRef"]["name"] == name)
    if document["kind"] == "PodDisruptionBudget":
        (made,) = [d for d in BASE if d["kind"] == "Deployment" and d["metadata"]["name"] == name]
        return bool(spec["selector"] == made["spec"]["selector"])
    return False


@pytest.mark.postgres
@pytest.mark.processes
def test_their_commands_work_together(postgres: Postgres, redis_url: str, tmp_path: Path) -> None:
    """Migrate, first key, API, worker, one job, cleaning and backup: every container's command, every probe."""
    backups = tmp_path / "backups"
    backups.mkdir()
    ports = {"HERENOW_PORT": str(free_port()), "HERENOW_WORKER_METRICS_PORT": str(free_port())}
    with postgres.database() as database_url:
        moved = {"HERENOW_DATABASE_URL": database_url, "HERENOW_BROKER_URL": redis_url, **ports}
        outside = cluster.Outside(moved, tmp_path / "data", backups)
        assert "herenow db upgrade" in outside.run("herenow-api").stderr  # and Kubernetes starts it again
        assert outside.run("herenow-migrate").returncode == 0
        assert "found none" in outside.run("herenow-worker-gpu", more={"CUDA_VISIBLE_DEVICES": ""}).stderr
        key = outside.run("herenow-api", ["keys", "create", "admin", "--scope", "admin"]).stdout.strip()
        with outside.up("herenow-api"), outside.up("herenow-worker-cpu"):
            for name in ("herenow-api", "herenow-worker-cpu"):
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    assert outside.passes(name, probe, 90), f"{name}: {probe}"
            _one_job(f"http://127.0.0.1:{ports['HERENOW_PORT']}", key)
            for name in ("herenow-gc", "herenow-backup"):
                done = outside.run(name)
                assert done.returncode == 0, done.stderr
        (made,) = backups.iterdir()
        assert '"whole": true' in outside.run("herenow-backup", ["restore", str(made), "--check", "--json"]).stdout


def _one_job(url: str, key: str) -> None:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
        assert "herenow_build_info" in client.get("/metrics").text
        example = client.get("/v1/problems/inventory_network/examples/one-store-lost").json()
        instance = client.post("/v1/instances", json=example).json()["id"]
        request = {"kind": "evaluate", "instance_id": instance, "rules": ["base_stock"], "scenarios": 16}
        job = client.post("/v1/jobs", json=request | {"time_limit": "PT4S"}).json()["id"]
        deadline = time.monotonic() + 90
        while (found := client.get(f"/v1/jobs/{job}").json())["state"] not in ("succeeded", "failed", "cancelled"):
            assert time.monotonic() < deadline, found
            time.sleep(0.3)
        assert found["state"] == "succeeded", found["error"]
