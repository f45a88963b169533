"""`POST /v1/instances/import`: files become instances; what does not fit is refused by part, file and line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from models import registry
from models.core import Importer, InvalidInput, Issue
from tests.models.test_lot_importers import SETTING
from tests.service.api_server import Server, example_document, first_problem

PATH = "/v1/instances/import"


def read(files: Mapping[str, bytes], options: Mapping[str, str]) -> dict[str, Any]:
    """A document in one part, its name in another."""
    document: dict[str, Any] = json.loads(files["document"])
    if "name" in files:
        document["name"] = files["name"].decode()
    if options.get("fail") == "line":
        raise InvalidInput([Issue("row", "error", "/document", "line 3, column 2: must be a number")])
    return document


LETTER = Importer(
    "letter", "A document and its name", {"document": "The document.", "name?": "Its name."}, read, {"fail": "How."}
)


@pytest.fixture(autouse=True)
def _letter(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = first_problem()
    own = dataclasses.replace(problem, importers=(*problem.importers, LETTER))
    monkeypatch.setitem(registry._PROBLEMS, problem.name, own)


def form(**changes: str) -> dict[str, str]:
    return {"problem": first_problem().name, "format": "letter"} | changes


def document() -> dict[str, Any]:
    return {"document": ("anything.json", json.dumps(example_document()).encode())}


def refused(answer: httpx.Response, status: int, slug: str, pointer: str | None = None) -> str:
    found = answer.json()
    assert (answer.status_code, found["type"]) == (status, f"/problems/{slug}"), answer.text
    if pointer is not None:
        assert pointer in [error["pointer"] for error in found["errors"]], found
    return str(found["detail"])


def test_files_become_an_instance_stored_once(client: httpx.Client) -> None:
    files = {**document(), "name": ("n.txt", b"from-files")}
    first = client.post(PATH, data=form(), files=files)
    assert first.status_code in (200, 201), first.text
    shown = client.get(first.headers["location"]).json()
    assert shown["name"] == "from-files"
    again = client.post(PATH, data=form(), files=files)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


def test_a_key_replays_although_boundaries_differ(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "import-once"}
    first = client.post(PATH, data=form(), files=document(), headers=key)
    again = client.post(PATH, data=form(), files=document(), headers=key)
    assert again.headers.get("Idempotency-Replayed") == "true"
    assert again.json() == first.json()
    other = client.post(PATH, data=form(), files={**document(), "name": ("n", b"other")}, headers=key)
    refused(other, 422, "key-reused")


@pytest.mark.parametrize(
    ("data", "files", "pointer"),
    [
        ({"problem": "weather"}, True, "/problem"),
        ({"format": "papyrus"}, True, "/format"),
        ({"colour": "red"}, True, "/colour"),
        ({}, False, "/document"),
    ],
)
def test_a_wrong_part_is_named(client: httpx.Client, data: dict[str, str], files: bool, pointer: str) -> None:
    sent = document() if files else {"name": ("n", b"x")}
    refused(client.post(PATH, data=form(**data), files=sent), 422, "invalid-input", pointer)


def test_an_unknown_file_is_named(client: httpx.Client) -> None:
    answer = client.post(PATH, data=form(), files={**document(), "../../etc/passwd": ("x", b"x")})
    refused(answer, 422, "invalid-input", "/..~1..~1etc~1passwd")


def test_what_is_wrong_inside_a_file_is_told(client: httpx.Client) -> None:
    answer = client.post(PATH, data=form(fail="line"), files=document())
    assert "line 3, column 2" in refused(answer, 422, "invalid-input", "/document")


def test_what_the_files_make_is_checked_like_any_instance(client: httpx.Client) -> None:
    broken = example_document() | {"periods": -1}
    files = {"document": ("d", json.dumps(broken).encode())}
    refused(client.post(PATH, data=form(), files=files), 422, "invalid-input", "/periods")


def test_a_part_given_twice_is_refused(client: httpx.Client) -> None:
    files = [("document", ("a", b"{}")), ("document", ("b", b"{}"))]
    refused(client.post(PATH, data=form(), files=files), 422, "invalid-input", "/document")


def test_other_media_types_and_broken_bodies_are_refused(client: httpx.Client) -> None:
    refused(client.post(PATH, json={}), 415, "unsupported-media-type")
    broken = client.post(PATH, content=b"--x\r\nno", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert broken.status_code in (400, 422), broken.text
    no_boundary = client.post(PATH, content=b"abc", headers={"Content-Type": "multipart/form-data"})
    refused(no_boundary, 400, "bad-request")
    refused(client.get(PATH), 405, "method-not-allowed")


def test_a_body_over_the_limit_is_refused(client: httpx.Client, api: Server) -> None:
    files = {"document": ("d", b" " * (api.settings.max_body_bytes + 1))}
    refused(client.post(PATH, data=form(), files=files), 413, "too-large")


def test_the_problem_lists_its_formats(client: httpx.Client) -> None:
    shown = client.get(f"/v1/problems/{first_problem().name}").json()["importers"]
    letter = next(entry for entry in shown if entry["format"] == "letter")
    assert letter["files"] == {"document": "The document."}
    assert letter["optional_files"] == {"name": "Its name."}
    assert letter["options"] == {"fail": "How."}


class TestStates:
    """`POST /v1/policies/{ref}/state`: a state made of files."""

    @pytest.fixture
    def path(self, policy_id: str) -> str:
        return f"/v1/policies/{policy_id}/state"

    @pytest.fixture
    def stock(self, today: dict[str, Any]) -> bytes:
        rows = "".join(f"{node},{units}\n" for node, units in today["on_hand"].items())
        return f"node,on_hand\n{rows}".encode()

    def test_the_files_a_policy_reads_are_listed(self, client: httpx.Client, path: str) -> None:
        shown = client.get(path).json()
        assert "on_hand" in shown["files"]
        assert "period" in shown["options"]

    def test_a_state_of_files_can_be_asked(
        self, client: httpx.Client, path: str, policy_id: str, stock: bytes, today: dict[str, Any]
    ) -> None:
        answer = client.post(path, files={"on_hand": ("stock.csv", stock)}, data={"period": "2"})
        assert answer.status_code == 200, answer.text
        state = answer.json()["state"]
        assert (state["on_hand"], state["period"]) == (today["on_hand"], 2)
        asked = client.post(f"/v1/policies/{policy_id}/recommend", json={"state": state})
        assert asked.status_code == 200, asked.text

    def test_what_is_wrong_is_named(self, client: httpx.Client, path: str, stock: bytes) -> None:
        refused(client.post(path, data={"period": "2"}), 415, "unsupported-media-type")
        refused(client.post(path, files={"moon": ("m", stock)}), 422, "invalid-input", "/moon")
        late = client.post(path, files={"on_hand": ("s", stock)}, data={"period": "999"})
        refused(late, 422, "invalid-input", "/period")
        short = client.post(path, files={"on_hand": ("s", b"node,on_hand\n")})
        assert "on_hand" in refused(short, 422, "invalid-input")


def test_a_published_lot_sizing_setting_is_stored(client: httpx.Client) -> None:
    data = {"problem": "lot_sizing", "format": "published_json", "initial_state": "given"}
    files = {"settings": ("setting.json", json.dumps(SETTING).encode())}
    stored = client.post(PATH, data=data, files=files)
    assert stored.status_code == 201, stored.text
    shown = client.get(stored.headers["location"]).json()
    assert shown["problem"] == "lot_sizing"
    broken = {"settings": ("setting.json", json.dumps(SETTING | {"n_items": 2}).encode())}
    refused(client.post(PATH, data=data, files=broken), 422, "invalid-input", "/settings/machine_production/0")
