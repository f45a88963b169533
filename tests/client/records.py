"""The client's records, made of the OpenAPI document: one class for every component that an answer may hold.

`python -m tests.client.records` writes them; a test compares. Every record lies in the file of the resource that alone
uses it, else in `shared`.
"""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

FOLDER = Path(__file__).parents[2] / "service" / "client" / "records"
METHODS = ("get", "post", "put", "delete", "patch")
BY_HAND = {"Problem", "FieldError"}  # they are exceptions
FILES = {"solvers": "problems", "scenario sets": "scenario_sets"}
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
WIDTH = 116
HEAD = '"""{title}\n\nMade by `python -m tests.client.records` of the OpenAPI document; not written by hand.\n"""\n'


def openapi() -> Document:
    """The document of the application, without starting it."""
    from service.app import create_app
    from service.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), database_url="", broker_url=f"filesystem://{folder}")
        found: Document = create_app(settings).openapi()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method and description of every operation."""
    for path, item in document["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS if method in item)


def used(document: Document) -> dict[str, set[str]]:
    """Component that an answer may hold → the files of the resources that use it."""
    found: dict[str, set[str]] = {}
    for _, _, operation in operations(document):
        tag = operation["tags"][0]
        file = FILES.get(tag, tag)
        answers = [answer for status, answer in operation["responses"].items() if int(status) < 400]
        waiting = list(references(answers))
        while waiting:
            name = waiting.pop()
            if file not in found.setdefault(name, set()):
                found[name].add(file)
                waiting += references(document["components"]["schemas"][name])
    return {name: files for name, files in found.items() if name not in BY_HAND and not name.startswith("Collection_")}


def references(value: Any) -> Iterator[str]:
    """Names of the components a schema refers to."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str) and "/schemas/" in value["$ref"]:
            yield value["$ref"].rpartition("/")[2]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def written(document: Document) -> dict[str, str]:
    """File name → its text."""
    places = {name: next(iter(files)) if len(files) == 1 else "shared" for name, files in used(document).items()}
    texts = {f"{file}.py": _module(document, file, places) for file in sorted(set(places.values()))}
    return _formatted({"__init__.py": _index(places), **texts})


def _index(places: Mapping[str, str]) -> str:
    head = HEAD.format(title="What the service answers, record by record.") + "\nfrom __future__ import annotations\n"
    lines = [f"from .{places[name]} import {name}" for name in sorted(places, key=lambda name: (places[name], name))]
    return "\n".join([head, *lines, "", f"__all__ = {json.dumps(sorted(places))}", ""])


def _module(document: Document, file: str, places: Mapping[str, str]) -> str:
    schemas = document["components"]["schemas"]
    own = sorted(name for name, place in places.items() if place == file)
    classes = [_record(name, schemas[name]) for name in own]
    body = "\n\n\n".join(classes)
    others = sorted({found for name in own for found in references(schemas[name])} & set(places) - set(own))
    lines = [HEAD.format(title=f"Records of {file.replace('_', ' ')}."), "from __future__ import annotations\n"]
    lines += ["from datetime import datetime"] if "datetime" in body else []
    typing = [word for word in ("Any", "Literal") if f"{word}[" in body or f"{word}]" in body or f": {word}" in body]
    typing += [] if "Any" in typing or " Any" not in body else ["Any"]
    lines += [f"from typing import {', '.join(sorted(set(typing)))}\n"] if typing else [""]
    lines += ["from pydantic import Field\n"] if "Field(" in body else []
    lines += ["from ..record import Record"]
    lines += [f"from .shared import {', '.join(others)}"] if others else []
    return "\n".join([*lines, "", "", body, ""])


def _record(name: str, schema: Document) -> str:
    about = " ".join(str(schema.get("description", name)).split())
    lines = [f"class {name}(Record):", *_said(about), ""]
    required = set(schema.get("required", ()))
    for field, value in schema["properties"].items():
        lines.append("    " + _field(field, value, field in required))
        if "description" in value:
            lines += _said(" ".join(value["description"].split()))
    return "\n".join(lines)


def _said(text: str) -> list[str]:
    """A docstring of as many lines as it needs."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    text += " " if text.endswith('"') else ""
    found = textwrap.wrap(f'"""{text}', WIDTH - 4, break_long_words=False) or ['"""']
    closed = [*found[:-1], f'{found[-1]}"""'] if len(found) == 1 else [*found, '"""']
    return ["    " + line for line in closed]


def _field(name: str, schema: Document, is_required: bool) -> str:
    kind = type_of(schema)
    own = name + "_" if keyword.iskeyword(name) or name in ("schema", "json", "copy") else name
    default = None if is_required else repr(schema.get("default"))
    if default == "None" and "None" not in kind.split(" | ") and kind != "Any":
        kind += " | None"
    if default in ("[]", "{}"):
        default = f"Field(default_factory={'list' if default == '[]' else 'dict'})"
    if own != name:
        default = f'Field({"" if default is None else default + ", "}alias="{name}")'
    return f"{own}: {kind}" + ("" if default is None else f" = {default}")


def type_of(schema: Document) -> str:
    """The type of a schema as it is written. Words from a list may be others in a newer service."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            kinds = list(dict.fromkeys(type_of(one) for one in schema[several]))
            return " | ".join([kind for kind in kinds if kind != "None"] + ["None"] * ("None" in kinds))
    if "const" in schema:
        return f"Literal[{json.dumps(schema['const'])}]"
    if "enum" in schema:
        words = f"Literal[{', '.join(json.dumps(word) for word in schema['enum'])}]"
        return f"{words} | str" if schema.get("type") == "string" else words
    kind = schema.get("type")
    if kind == "array":
        return f"list[{type_of(schema['items']) if 'prefixItems' not in schema['items'] else 'list[Any]'}]"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {type_of(inner) if isinstance(inner, Mapping) else 'Any'}]"
    if kind == "string" and schema.get("format") == "date-time":
        return "datetime"
    return SIMPLE.get(str(kind), "Any")


def _formatted(texts: Mapping[str, str]) -> dict[str, str]:
    """As ruff writes them."""
    config = ["--config", str(FOLDER.parents[2] / "pyproject.toml"), "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text)
        for command in (["check", "--fix-only", "--select", "I"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *command, *config, folder], check=True)
        return {name: (Path(folder) / name).read_text() for name in texts}


def write() -> None:
    """Write every file, and remove those that are no more."""
    texts = written(openapi())
    for path in FOLDER.glob("*.py"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    write()
