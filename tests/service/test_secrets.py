"""Secrets stay secret: a service is driven with known ones, and all it wrote and answered is searched for them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, select

from service.db.rows import Base
from service.db.session import Database
from service.keys import service as keys
from service.redaction import redacted
from tests.cli.terminal import COMMAND
from tests.servers import Postgres
from tests.service.api_server import example_document, make_settings, running

PASSWORD = "Pa55word-of-the-database"
BROKER_PASSWORD = "Pa55word-of-the-broker"
WRONG = "hnk_wrong-but-somebodys-key-elsewhere-0123456789"


@contextmanager
def serving(folder: Path, *words: str, **environment: str) -> Iterator[str]:
    """A `herenow serve` that logs everything, to files in the folder; its address."""
    given = {f"HERENOW_{name.upper()}": value for name, value in environment.items()}
    given |= {"HERENOW_LOG_LEVEL": "debug", "HERENOW_REQUIRE_KEYS": "true", "OMP_NUM_THREADS": "1"}
    command = [*COMMAND, "serve", "--json", "--port", "0", "--data-dir", str(folder / "data"), *words]
    with (folder / "serve.log").open("wb") as log, (folder / "serve.out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=log, env=os.environ | given)
    try:
        yield ready(process, folder)
    finally:
        process.terminate()
        process.wait(60)


def ready(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Where the service answers, once it says so among what it logs."""
    while process.poll() is None:
        for line in (folder / "serve.out").read_text().splitlines():
            if line.startswith("{") and "url" in (said := json.loads(line)):
                return str(said["url"])
        time.sleep(0.1)
    raise AssertionError((folder / "serve.log").read_text()[-2000:])


def new_key(folder: Path, **environment: str) -> str:
    """An administrator's key, made on the command line."""
    given = os.environ | {f"HERENOW_{name.upper()}": value for name, value in environment.items()}
    place = ["--data-dir", str(folder / "data")]
    subprocess.run([*COMMAND, "db", "upgrade", *place], env=given, check=True, capture_output=True)
    made = [*COMMAND, "keys", "create", "boss", "--scope", "admin", "--json", *place]
    return str(json.loads(subprocess.run(made, env=given, check=True, capture_output=True, text=True).stdout)["key"])


def misuse(url: str, key: str) -> list[str]:
    """Put secrets everywhere they do not belong; the problem documents that came back."""
    answers = []
    with httpx.Client(base_url=url, timeout=30) as stranger:
        for header in (f"Bearer {WRONG}", f"Basic {key}", f"Bearer {key}x", key, f"Bearer  {key} {key}"):
            answers.append(stranger.get("/v1/jobs", headers={"Authorization": header}))
        answers.append(stranger.get(f"/v1/jobs?api_key={key}&token={WRONG}"))
    with httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"}) as client:
        answers.append(client.get(f"/v1/jobs/{key}"))
        answers.append(client.get(f"/v1/jobs?cursor={key}&key={key}"))
        answers.append(client.get(f"/nowhere/{key}"))
        answers.append(client.get("/v1/jobs", headers={"X-Request-Id": key}))
        answers.append(client.get("/v1/jobs", headers={"Cookie": f"key={key}", "Referer": f"http://x/?key={key}"}))
        for body in ({"problem": key}, {key: 1}, {"name": key}, [key]):
            answers.append(client.post("/v1/instances", json=body))
        answers.append(client.post("/v1/keys", json={"name": "x", "scopes": [key]}))
        answers.append(client.post("/v1/instances", content=key.encode(), headers={"Content-Type": "application/json"}))
        answers.append(client.get("/healthz/ready"))
    return [f"{answer.headers} {answer.text}" for answer in answers]


def everything_told(client: httpx.Client, known: dict[str, str]) -> list[str]:
    """Every answer to a reading request that the OpenAPI document offers."""
    told = [client.get("/metrics").text]
    for path, item in client.get("/openapi.json").json()["paths"].items():
        if "get" in item and "{" not in path.format_map({name: "" for name in known} if "{" not in path else known):
            accept = "application/json" if path.endswith("/events") else "*/*"
            told.append(client.get(path.format_map(known), headers={"Accept": accept}).text)
    return told


class _Known(dict[str, str]):
    """Path parameters; those unknown stay as they are."""

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"


def files_written(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def database_text(url: str) -> str:
    """Every column of every row of every table."""
    database = Database(url)
    try:
        with database.read() as session:
            return repr([tuple(row) for table in Base.metadata.sorted_tables for row in session.execute(select(table))])
    finally:
        database.close()


def assert_nowhere(secrets: list[str], told: list[str], folder: Path, database: str) -> None:
    for secret in secrets:
        assert [text[:300] for text in told if secret in text] == []
        assert [name for name, content in files_written(folder) if secret.encode() in content] == []
        assert secret not in database


@pytest.mark.processes
@pytest.mark.postgres
def test_a_whole_service_tells_nobody(tmp_path: Path, postgres: Postgres) -> None:
    """Keys, and the database's password, through a training: in no log, event, metric, document, column or file."""
    with postgres.database() as plain:
        url = make_url(plain).set(password=PASSWORD).render_as_string(hide_password=False)
        key = new_key(tmp_path, database_url=url)
        with serving(tmp_path, database_url=url) as place:
            told = misuse(place, key)
            with httpx.Client(base_url=place, timeout=60, headers={"Authorization": f"Bearer {key}"}) as client:
                other = client.post("/v1/keys", json={"name": "robot", "scopes": ["train"]}).json()
                new = client.post(f"/v1/keys/{other['id']}/rotate", json={}).json()["secret"]
                client.headers["Authorization"] = f"Bearer {new}"
                job = trained(client)
                client.headers["Authorization"] = f"Bearer {key}"
                known = _Known(job_id=job["id"], instance_id=job["instance_id"], key_id=other["id"])
                told += everything_told(client, known)
        database = database_text(plain)
    assert len(told) > 40
    assert "trained" in database  # the search looks where things are
    assert_nowhere([key, other["secret"], new, WRONG, PASSWORD], told, tmp_path, database)


def trained(client: httpx.Client) -> dict[str, Any]:
    """A job that trained, as it ended."""
    instance = client.post("/v1/instances", json=example_document()).json()["id"]
    body = {"kind": "train", "instance_id": instance, "solver": "hdpo", "policy_name": "trained", "time_limit": "PT5S"}
    job: dict[str, Any] = client.post("/v1/jobs", json={**body, "config": {"iterations": 2}}).json()
    deadline = time.monotonic() + 180
    while job["finished_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.5)
        job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["state"] == "succeeded"
    return job


def test_a_broker_that_is_away_is_told_of_without_its_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    away = f"redis://herenow:{BROKER_PASSWORD}@127.0.0.1:9/0"
    with running(make_settings(tmp_path / "data", require_keys=True, broker_url=away)) as server:
        with server.database.write() as session:
            key = keys.create(session, "boss", ["admin"]).secret
        told = misuse(server.url, key)
        with server.client(key) as client:
            instance = client.post("/v1/instances", json=example_document()).json()["id"]
            body = {"kind": "train", "instance_id": instance, "solver": "hdpo"}
            assert client.post("/v1/jobs", json=body).status_code == 202
            told += everything_told(client, _Known())
    assert "broker" in caplog.text  # it was missed, and that was said
    database = database_text(f"sqlite:///{tmp_path / 'data' / 'herenow.db'}")
    written = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("service"))
    assert_nowhere([key, WRONG, BROKER_PASSWORD], [*told, redacted(caplog.text), written], tmp_path, database)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no secret here", "no secret here"),
        ("key hnk_abcDEF123-_x.", "key hnk_***."),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql+psycopg://ann:p@ss:w@db/x and more", "postgresql+psycopg://ann:***@db/x and more"),
        ("https://host/a:b@c", "https://host/a:b@c"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
        ("'authorization', b'Basic dXNlcjpwYXNz'", "'authorization', b'Basic ***'"),
        ("a bearer of news", "a bearer of news"),
    ],
)
def test_secrets_in_a_line_are_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown
