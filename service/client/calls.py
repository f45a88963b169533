"""One request as a value: what an operation asks, how its answer is read, and whether it may be carried out twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from .errors import UnexpectedAnswer
from .record import adapter

T = TypeVar("T")

JSON = "application/json"
CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TEXT = "text/plain"

Duration = timedelta | float | str
"""A time span: a timedelta, seconds, or an ISO-8601 duration such as `PT10M`."""

Files = Mapping[str, bytes | str | os.PathLike[str]]
"""Files by the name of their part: content (bytes), or the path of a file."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request.

    `repeats`: carrying it out twice does no harm. `keyed`: an `Idempotency-Key` makes it so. `holds`: how long the
    service may hold the answer back [s].
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    places: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    files: Mapping[str, bytes] | None = None
    words: Mapping[str, str] = field(default_factory=dict)  # text parts beside files
    repeats: bool = True
    keyed: bool = False
    key: str | None = None
    holds: float = 0.0

    @property
    def url(self) -> str:
        """The path with its places filled in."""
        return self.path.format(**{name: quote(value, safe="@:") for name, value in self.places.items()})


def get(path: str, kind: type[T] | Any, query: Mapping[str, Any] | None = None, **places: str) -> Call[Any]:
    """GET a record of a kind."""
    return Call("GET", path, Reader(kind), places, given(query or {}), {"Accept": JSON})


def document(path: str, **places: str) -> Call[dict[str, Any]]:
    """GET a JSON document whose form the service alone knows."""
    return Call("GET", path, Reader(dict[str, Any]), places)


def fetch(path: str, media_type: str, **places: str) -> Call[bytes]:
    """GET a document in another form."""
    return Call("GET", path, content, places, headers={"Accept": media_type})


def delete(path: str, headers: Mapping[str, str] | None = None, **places: str) -> Call[None]:
    """DELETE what is there; with a condition in `headers` it is not repeated once it may have been carried out."""
    return Call("DELETE", path, nothing, places, headers=headers or {}, repeats=not headers)


def put(
    path: str, kind: type[T], body: Mapping[str, Any], headers: Mapping[str, str] | None = None, **places: str
) -> Call[T]:
    """PUT a document; with a condition in `headers` it is not repeated once it may have been carried out."""
    return Call("PUT", path, Reader(kind), places, headers=headers or {}, body=given(body), repeats=not headers)


def create(path: str, kind: type[T], body: Any, key: str | None, **places: str) -> Call[T]:
    """POST what is carried out once per `Idempotency-Key`; without one, one is made."""
    return Call("POST", path, Reader(kind), places, body=body, keyed=True, key=key)


def ask(path: str, kind: type[T], body: Any = None, **places: str) -> Call[T]:
    """POST what changes nothing, or nothing the second time."""
    return Call("POST", path, Reader(kind), places, body=body)


def once(path: str, kind: type[T], body: Any = None, **places: str) -> Call[T]:
    """POST what must not be carried out twice and has no key to prevent it."""
    return Call("POST", path, Reader(kind), places, body=body, repeats=False)


def upload(path: str, kind: type[T], files: Files, words: Mapping[str, str], key: str | None) -> Call[T]:
    """POST files and words as a form; carried out once per `Idempotency-Key`."""
    return Call("POST", path, Reader(kind), files=read_files(files), words=words, keyed=True, key=key)


def read(path: str, kind: type[T], files: Files, words: Mapping[str, str], **places: str) -> Call[T]:
    """POST files and words as a form, to be read and not kept."""
    return Call("POST", path, Reader(kind), places, files=read_files(files), words=words)


@dataclass(frozen=True)
class Reader:
    """Reads an answer as a record of a kind; UnexpectedAnswer if it is none."""

    kind: Any

    def __call__(self, answer: httpx.Response) -> Any:
        try:
            return adapter(self.kind).validate_json(answer.content)
        except ValidationError as error:
            first = error.errors()[0]
            place = "/".join(map(str, first["loc"]))
            raise UnexpectedAnswer(f"{answer.request.url.path}: /{place}: {first['msg']}") from None


def content(answer: httpx.Response) -> bytes:
    """The answer's bytes as they are."""
    return answer.content


def text(answer: httpx.Response) -> str:
    """The answer as text."""
    return answer.text


def nothing(answer: httpx.Response) -> None:
    """There is nothing to read."""


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is not None: the rest is left to the service."""
    return {name: value for name, value in values.items() if value is not None}


def duration(value: Duration | None) -> str | None:
    """A time span as the API takes it."""
    if value is None or isinstance(value, str):
        return value
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return f"PT{seconds:.3f}".rstrip("0").rstrip(".") + "S"


def read_files(files: Files) -> dict[str, bytes]:
    """Every file's content, read now, so that it can be sent again."""
    return {name: file if isinstance(file, bytes) else Path(file).read_bytes() for name, file in files.items()}


def plain(value: Any) -> Any:
    """Nested data with numpy arrays as lists."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value] if value and not isinstance(value[0], int | float) else list(value)
    return value.tolist() if hasattr(value, "tolist") else value
