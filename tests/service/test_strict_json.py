"""Strict JSON: what the standard parser takes and is fit to be kept, and nothing else."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ApiError
from service.strict_json import MAX_DEPTH, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


@given(VALUES, st.booleans())
def test_it_reads_what_json_writes(value: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(ApiError):
        json.dumps(parse(body), allow_nan=False)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"NaN", ""),
        (b'{"a": [1, -Infinity]}', "/a/1"),
        (b'{"a": {"b/c": Infinity}}', "/a/b~1c"),
        (b'{"a": {"b": 1e999}}', "/a/b"),
        (b'{"a": {"b": -1E+0400}}', "/a/b"),
        (b'{"a": [0.5, ' + b"9" * 400 + b".5]}", "/a/1"),
        (b'{"a": ' + b"7" * 5000 + b"}", "/a"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "/b/c"),
        (b'{"a": ["\\ud800"]}', "/a/0"),
        (b'{"a": "\\udc00\\ud800"}', "/a"),
        (b'{"a": "x\\u0000"}', "/a"),
        (b'{"a": "x\x00"}', "/a"),
        (b'{"a": {"\\u0000": 1}}', "/a"),
        (b'{"a": {"\\uDFFF": 1}}', "/a"),
    ],
)
def test_a_value_that_is_not_taken_is_named(body: bytes, pointer: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body)
    assert caught.value.status_code == 422
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_every_place_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        parse(b'{"a": NaN, "b": [1e999, 2, "\\ud9ff"], "c": 1, "c": 1}')
    assert [error.pointer for error in caught.value.errors] == ["/a", "/b/0", "/b/2", "/c"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[01]",
        b'{"a": "\n"}',
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": NaN',
        b"[" * 20_000,
        b"[" * 20_000 + b"]" * 20_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'["' + b"[" * 100 + b'\\\\",' + b"[" * 70 + b"]" * 70 + b"]",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body)
    assert (caught.value.status_code, caught.value.slug) == (400, "invalid-json")


@pytest.mark.parametrize(
    "value",
    [
        "[" * 500,
        '\\"[[' * 50,
        "\\" * 7 + "[" * 80,
        ["store100", "1e999", "1e100", "-1e+300", "NaN"],
        [1e308, -1e308, 5e-324, 1.0e100, 10**299],
        "😀 \\u0000 \\ud800",
        [[[]] * 1000] * 3,
    ],
)
def test_what_only_looks_wrong_is_read(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


def test_nesting_may_be_as_deep_as_the_limit() -> None:
    value = parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert value == json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(ApiError):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_many_numbers_cost_little_more_than_reading_them() -> None:
    body = json.dumps({"states": {"x": [[math.sqrt(i), i, "store100"] for i in range(80_000)]}}).encode()
    strict = min(_seconds(parse, body) for _ in range(3))
    plain = min(_seconds(json.loads, body) for _ in range(3))
    assert strict < 2 * plain


def _seconds(read: Any, body: bytes) -> float:
    started = time.perf_counter()
    read(body)
    return time.perf_counter() - started
