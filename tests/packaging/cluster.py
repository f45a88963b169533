"""The Kubernetes manifests as a test reads them, and their commands run outside a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "deploy" / "kubernetes"
BACKUPS = "/var/backups/herenow"


def documents(folder: str = "base") -> list[dict[str, Any]]:
    """Every object of a folder's files, in the order of their names."""
    files = [path for path in sorted((FOLDER / folder).glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def kustomized(folder: str) -> list[dict[str, Any]]:
    """What `kubectl apply --kustomize` would send; FileNotFoundError without kubectl, which needs no cluster for it."""
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER / folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def templates(given: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pods' specifications by the name of what makes them."""
    found = {}
    for document in given:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found[document["metadata"]["name"]] = spec["template"]["spec"]
    return found


def container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """A pod's only container."""
    (only,) = pod["containers"]
    return dict(only)


def told(pod: Mapping[str, Any], given: list[dict[str, Any]]) -> dict[str, str]:
    """The environment that a pod's container starts with, on a node whose address is loopback."""
    environment: dict[str, str] = {}
    for source in container(pod)["envFrom"]:
        ((kind, reference),) = source.items()
        wanted = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind]
        (named,) = [d for d in given if d["kind"] == wanted and d["metadata"]["name"] == reference["name"]]
        environment |= named.get("data", {}) | named.get("stringData", {})
    for entry in container(pod).get("env", []):
        if "valueFrom" in entry:
            assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
            environment[entry["name"]] = "127.0.0.1"
        else:
            environment[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda f: environment[f[1]], entry["value"])
    return environment


class Outside:
    """The containers' own words and environment, outside a cluster: other servers, folders and ports, nothing else."""

    def __init__(self, moved: Mapping[str, str], folder: Path, backups: Path) -> None:
        self._documents = documents()
        self.pods = templates(self._documents)
        self._moved = dict(moved)
        self._folder = folder
        self._backups = backups

    def environment(self, name: str) -> dict[str, str]:
        """A container's environment in its new place."""
        environment = told(self.pods[name], self._documents)
        environment |= {key: value for key, value in self._moved.items() if key in environment}
        environment["HERENOW_DATA_DIR"] = str(self._folder)
        return {key: value for key, value in os.environ.items() if not key.startswith("HERENOW_")} | environment

    def command(self, name: str, words: list[str] | None = None) -> list[str]:
        """A container's words (or others) behind the image's entry point."""
        said = words or container(self.pods[name])["args"]
        return [sys.executable, "-m", "service.cli", *(word.replace(BACKUPS, str(self._backups)) for word in said)]

    def run(
        self, name: str, words: list[str] | None = None, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a container to its end, on a node that adds `more` to its environment."""
        environment = self.environment(name) | dict(more or {})
        command = self.command(name, words)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    @contextmanager
    def up(self, name: str) -> Iterator[None]:
        """A container running; it must end well within its pod's grace."""
        log = self._folder.parent / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(self.command(name), env=self.environment(name), stdout=output, stderr=output)
        try:
            yield
            process.terminate()
            assert process.wait(self.pods[name]["terminationGracePeriodSeconds"]) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def passes(self, name: str, probe: str, seconds: float) -> bool:
        """Whether a probe of the container passes within the time, asked as the kubelet would ask."""
        asked = container(self.pods[name])[probe]["httpGet"]
        ports = {"http": self._moved["HERENOW_PORT"], "metrics": self._moved["HERENOW_WORKER_METRICS_PORT"]}
        headers = {header["name"]: header["value"] for header in asked.get("httpHeaders", [])}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                answer = httpx.get(f"http://127.0.0.1:{ports[asked['port']]}{asked['path']}", headers=headers)
                if answer.is_success:
                    return True
            except httpx.HTTPError:
                pass
            time.sleep(0.3)
        return False
