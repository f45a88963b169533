"""The client is what the OpenAPI document says: every operation, every parameter, every field of every answer."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from service.client.calls import Call, Reader
from service.client.flows import carry_out, items
from service.client.operations import Room
from service.client.record import Page
from service.client.records import AliasView
from tests.client.records import FOLDER, Document, openapi, operations, written

ROOM = Path(__file__).parents[2] / "service" / "client"


@pytest.fixture(scope="module")
def document() -> Document:
    return openapi()


def rooms() -> Iterator[tuple[str, type[Room[Any]]]]:
    with Client("http://nowhere.invalid") as client:
        yield from ((name, type(room)) for name, room in vars(client).items() if isinstance(room, Room))


def value_for(name: str, parameter: inspect.Parameter) -> Any:
    """Something of the kind a parameter takes."""
    said = str(parameter.annotation)
    kinds = {
        "datetime": datetime(2026, 1, 1, tzinfo=UTC),
        "AliasView": AliasView.model_construct(etag="tag"),
        "Files": {"part": b"content"},
        "Mapping": {"field": 1},
        "Sequence": ["one"],
        "bool": True,
        "int": 3,
        "Duration": 2.0,
        "float": 2.0,
    }
    if literal := re.search(r'Literal\[["\'](\w+)', said):
        return [literal[1]] if "Sequence" in said else literal[1]
    return next((value for kind, value in kinds.items() if re.search(rf"\b{kind}\b", said)), name)


def made(make: Any) -> Call[Any]:
    """The call of a method with every parameter given."""
    given = {
        name: value_for(name, parameter)
        for name, parameter in inspect.signature(make).parameters.items()
        if name != "self"
    }
    found: Call[Any] = make(None, **given)
    return found


def calls() -> dict[str, Call[Any]]:
    """`room.method` → its call."""
    return {
        f"{name}.{method}": made(found.make)
        for name, room in rooms()
        for method, found in vars(room).items()
        if getattr(found, "flow", None) in (carry_out, items)
    }


CALLS = calls()


def asked(document: Document, call: Call[Any]) -> Document:
    found: Document = document["paths"][call.path][call.method.lower()]
    return found


def parameters(operation: Document, place: str) -> set[str]:
    return {p["name"] for p in operation.get("parameters", ()) if p["in"] == place}


def test_every_operation_has_a_method(document: Document) -> None:
    offered = {(method.upper(), path) for path, method, _ in operations(document)}
    assert {(call.method, call.path) for call in CALLS.values()} == offered


@pytest.mark.parametrize("name", sorted(CALLS))
class TestEveryMethod:
    def test_its_places_and_query_exist(self, name: str, document: Document) -> None:
        call, operation = CALLS[name], asked(document, CALLS[name])
        assert set(call.places) == parameters(operation, "path") == set(re.findall(r"{(\w+)}", call.path))
        assert set(call.query) <= parameters(operation, "query")

    def test_it_has_a_key_where_the_operation_takes_one(self, name: str, document: Document) -> None:
        call, headers = CALLS[name], parameters(asked(document, CALLS[name]), "header")
        assert call.keyed == ("idempotency-key" in headers)
        assert call.repeats or call.method == "POST" or "if-match" in headers

    def test_its_answer_is_read_as_what_it_is(self, name: str, document: Document) -> None:
        call, contents = CALLS[name], answered(asked(document, CALLS[name]))
        if isinstance(call.read, Reader):
            names = {ref.rpartition("/")[2] for ref in re.findall(r"#/components/schemas/\w+", str(contents))}
            assert kind_name(call.read.kind) in names | {"dict", "list"}
        else:
            assert call.headers.get("Accept") in {None, *contents}


def answered(operation: Document) -> dict[str, Any]:
    """Media type → schema of an operation's successful answers."""
    answers = [answer for status, answer in operation["responses"].items() if int(status) < 300]
    return {
        media: [one.get("content", {}).get(media) for one in answers]
        for answer in answers
        for media in answer.get("content", {})
    }


def kind_name(kind: Any) -> str:
    """The component of a kind: `Page[JobView]` is `Collection_JobView_`."""
    if inspect.isclass(kind) and issubclass(kind, Page):
        return f"Collection_{kind.__pydantic_generic_metadata__['args'][0].__name__}_"
    return str(kind.__name__)


def test_every_parameter_and_field_of_a_body_can_be_given(document: Document) -> None:
    missing = {}
    for path, method, operation in operations(document):
        own = [call for call in CALLS.values() if (call.method, call.path) == (method.upper(), path)]
        given = {name for call in own for name in call.query}
        lacking = parameters(operation, "query") - given
        lacking |= fields(document, operation) - {name for call in own for name in sent(call)}
        if lacking and not any(call.body == {"field": 1} or call.body == "document" for call in own):
            missing[f"{method} {path}"] = lacking
    assert missing == {}


def test_no_method_sends_a_field_the_body_lacks(document: Document) -> None:
    for name, call in CALLS.items():
        known = fields(document, asked(document, call))
        if known and call.body not in ({"field": 1}, "document"):
            # Which files and options a form has besides, the problem says.
            assert sent(call) <= known | ({"part", "field"} if call.files else set()), name


def sent(call: Call[Any]) -> set[str]:
    """Names of the fields and parts of a call's body."""
    return set(call.body if isinstance(call.body, dict) else ()) | set(call.words) | set(call.files or ())


def fields(document: Document, operation: Document) -> set[str]:
    """Names of the fields and parts an operation's body may have."""
    contents = operation.get("requestBody", {}).get("content", {})
    return {name for body in contents.values() for name in properties(document, body["schema"])}


def properties(document: Document, schema: Document) -> set[str]:
    if "$ref" in schema:
        return properties(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    several = (properties(document, one) for one in schema.get("oneOf", ()))
    return set(schema.get("properties", ())).union(*several)


def test_the_records_are_those_of_the_document(document: Document) -> None:
    """If not: `python -m tests.client.records` writes them anew."""
    assert {path.name: path.read_text() for path in FOLDER.glob("*.py")} == written(document)


def test_every_method_is_described() -> None:
    for name, room in rooms():
        for method, found in vars(room).items():
            if hasattr(found, "make"):
                assert found.__doc__, (name, method)


def test_it_imports_nothing_but_httpx_and_pydantic() -> None:
    """numpy inside the one function that gives arrays; itself relatively, for it has two names."""
    for path in ROOM.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                allowed = {"httpx", "pydantic", *sys.stdlib_module_names, *({"numpy"} if path.stem == "arrays" else ())}
                assert top in allowed, (path, name)
