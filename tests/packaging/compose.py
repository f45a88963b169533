"""The compose file as a test reads it, and its services run outside Docker."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import yaml
from sqlalchemy import make_url

from service.broker import redis_binaries

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
SECRETS = {"POSTGRES_PASSWORD": secrets.token_hex(12), "REDIS_PASSWORD": secrets.token_hex(12)}
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with `${NAME}`, `${NAME:-default}` and `${NAME:?reason}` as compose reads them."""
    if isinstance(value, dict):
        return {key: interpolate(member, variables) for key, member in value.items()}
    if isinstance(value, list):
        return [interpolate(member, variables) for member in value]
    return _VARIABLE.sub(lambda found: _variable(found, variables), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, rest = found.groups()
    if variables.get(name):
        return variables[name]
    if kind == "?":
        raise LookupError(f"{name}: {rest}")
    return rest or ""


def load(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its variables filled in."""
    document: dict[str, Any] = interpolate(
        yaml.safe_load(FILE.read_text()), SECRETS if variables is None else variables
    )
    return document


class Outside:
    """The services' own commands, outside Docker: the same words and environment, other places.

    `postgres` and `redis` become the given servers, the volume a folder, port 8000 a free one; nothing else changes.
    """

    def __init__(self, database_url: str, broker_url: str, folder: Path, port: int) -> None:
        self.services = load()["services"]
        self.folder = folder
        self.port = port
        self._moved = {"HERENOW_DATABASE_URL": database_url, "HERENOW_BROKER_URL": broker_url}
        self._moved |= {"HERENOW_DATA_DIR": str(folder)}

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment in its new place."""
        environment = dict(self.services[name]["environment"]) | self._moved
        if "HERENOW_PORT" in environment:
            environment["HERENOW_PORT"] = str(self.port)
        return {key: value for key, value in os.environ.items() if not key.startswith("HERENOW_")} | environment

    def command(self, name: str, words: list[str] | None = None) -> list[str]:
        """The service's command (or other words) behind the image's entry point."""
        return [sys.executable, "-m", "service.cli", *(words or self.services[name]["command"])]

    def run(self, name: str, words: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the service's command to its end, as `docker compose run --rm NAME WORDS` would."""
        return subprocess.run(
            self.command(name, words), env=self.environment(name), capture_output=True, text=True, timeout=120
        )

    @contextmanager
    def up(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """The service running; it must end well within 30 seconds of SIGTERM."""
        log = self.folder.parent / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(self.command(name), env=self.environment(name), stdout=output, stderr=output)
        try:
            yield process
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def healthy(self, name: str, seconds: float) -> bool:
        """Whether the service's own healthcheck passes within the time."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [word.replace(":8000/", f":{self.port}/") for word in words]
        words[0:1] = {"python": [sys.executable], "herenow": [sys.executable, "-m", "service.cli"]}[words[0]]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if subprocess.run(words, env=self.environment(name), capture_output=True).returncode == 0:
                return True
            time.sleep(0.3)
        return False


@contextmanager
def redis_as_composed(folder: Path, port: int) -> Iterator[str]:
    """A Redis started with the very arguments of the compose file, on a loopback port; its broker URL."""
    command = load()["services"]["redis"]["command"]
    binary = next(iter(redis_binaries()))
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen([str(binary.path), *command[1:], *place], stdout=log, stderr=log)
    try:
        with redis.Redis(port=port, password=SECRETS["REDIS_PASSWORD"]) as client:
            _await(client)
        yield f"redis://:{SECRETS['REDIS_PASSWORD']}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def _await(client: redis.Redis) -> None:
    for _ in range(200):
        try:
            client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.05)
    raise AssertionError("the composed Redis did not start")


def host_of(url: str) -> str | None:
    """The host a URL names."""
    return make_url(url).host
