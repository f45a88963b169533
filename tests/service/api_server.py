"""A real server for tests of the API: uvicorn on a free loopback port, a fresh database, a policy to ask."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from models.core import Problem
from models.registry import problems
from service.app import create_app
from service.db.migrate import upgrade
from service.db.rows import PolicyRow
from service.db.session import Database
from service.http_protocol import PROTOCOL
from service.ids import new_id
from service.instances.service import parse, store
from service.settings import Settings
from service.storage import Storage

START_SECONDS = 20


@dataclass
class Server:
    """A running API."""

    url: str
    app: FastAPI
    settings: Settings

    @property
    def database(self) -> Database:
        """The server's own database."""
        database: Database = self.app.state.database
        return database

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """An HTTP client of this server."""
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **headers}
        return httpx.Client(base_url=self.url, headers=sent, timeout=30)


def make_settings(folder: Path, **given: Any) -> Settings:
    """Settings with their own data folder; the environment has no say in where things are."""
    return Settings(**{"data_dir": folder, "database_url": "", "broker_url": "", **given})


@contextmanager
def running(settings: Settings, port: int = 0) -> Iterator[Server]:
    """Serve on a free port (or that one) until left; the database is brought up to date first."""
    Storage.of(settings).prepare()
    database = Database(settings.database)
    upgrade(database)
    database.close()
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=PROTOCOL, port=port, log_level="warning", timeout_graceful_shutdown=2, server_header=False
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{_port(server)}", app, settings)
    finally:
        server.should_exit = True
        thread.join(10)


def _port(server: uvicorn.Server) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not start")
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def first_problem() -> Problem:
    """Any registered problem; the API's tests need one and do not care which."""
    return next(iter(problems().values()))


def example_document(name: str | None = None) -> dict[str, Any]:
    """An example instance's document."""
    examples = {example.name: example for example in first_problem().examples}
    return examples[name or next(iter(examples))].document()


def add_policy(server: Server, document: dict[str, Any], name: str = "orders", version: int = 1) -> str:
    """Store an untrained policy for an instance, as a job would store a trained one; its id."""
    from solvers.artifact import PolicyArtifact
    from solvers.registry import solver

    hdpo = solver("hdpo")
    instance = parse(document)
    problem = problems()[instance.problem]
    config = hdpo.config()
    family = problem.default_family(instance)
    assert hdpo.build is not None
    policy = hdpo.build(problem, instance, config, family)
    certificate: dict[str, Any] = {"scenarios": 2, "policy": {"mean_cost": 1.0}, "rules": [], "gap": 0.1}
    artifact = PolicyArtifact(
        problem=problem.name,
        solver="hdpo",
        family=family,
        config=config.model_dump(mode="json"),
        seed=version,
        instance=instance.document(),
        weights=policy.state_dict(),
        training_range={},
        certificate=certificate,
        description={},
        curve=[],
        training={"seconds": 0.0, "device": "cpu", "iterations": 0, "stopped_by": "finished"},
    )
    digest = artifact.save(Storage.of(server.settings).artifacts)
    with server.database.write() as session:
        row, _ = store(session, instance)
        policy_id = new_id("pol")
        session.add(
            PolicyRow(
                id=policy_id,
                name=name,
                version=version,
                problem=problem.name,
                solver="hdpo",
                family=family,
                instance_id=row.id,
                artifact_digest=digest,
                card={"certificate": certificate, "config": artifact.config, "seed": version, "curve": []},
                recommended_for_use=True,
            )
        )
    return policy_id
