"""Families of hostile requests over everything the OpenAPI document offers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.hostile import values
from tests.hostile.answers import Case
from tests.hostile.values import BODIES, FILES, ID, LITERALS, TEXTS, leaves, with_literal

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True)
class Target:
    """The service as an attacker knows it: its document, names of things that exist, honest bodies by operation."""

    document: dict[str, Any]
    known: dict[str, str]
    honest: dict[str, Any]

    def operations(self, *methods: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path and operation of everything offered by these methods."""
        for path, item in self.document["paths"].items():
            for method in methods:
                if method in item:
                    yield method.upper(), path, item[method]

    def place(self, path: str, **other: str) -> str:
        """A path with names of things that exist, or others."""
        return path.format(**{**self.known, **other})

    def bodies(self) -> Iterator[tuple[str, str, str, Any]]:
        """Name, method, place and honest body of every operation that takes JSON."""
        for method, path, operation in self.operations("post", "put"):
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                name = operation["operationId"]
                yield name, method, self.place(path), self.honest.get(name, {})


def bodies(target: Target) -> Iterator[Case]:
    """What is no JSON, and every literal as the whole body and as a field's value, for every operation."""
    for name, method, place, honest in target.bodies():
        for number, body in enumerate(BODIES):
            yield Case(f"{name} body {number}", method, place, (JSON,), body)
        field = next(iter(honest), None) if isinstance(honest, dict) else None
        for number, literal in enumerate(LITERALS):
            yield Case(f"{name} literal {number}", method, place, (JSON,), literal.encode())
            if field is not None:
                inside = with_literal(honest, (field,), literal)
                yield Case(f"{name} /{field} literal {number}", method, place, (JSON,), inside)


def fields(target: Target, count: int, seed: int) -> Iterator[Case]:
    """Honest bodies with one value, anywhere in them, replaced by a literal or a text; drawn from all of these."""
    drawn = random.Random(seed)
    honest = [(name, method, place, body, leaves(body)) for name, method, place, body in target.bodies() if body]
    texts = [json.dumps(text) for text in TEXTS]
    for number in range(count):
        name, method, place, body, paths = drawn.choice(honest)
        path = drawn.choice(paths)
        literal = drawn.choice((*LITERALS, *texts))
        where = "/".join(map(str, path))
        yield Case(f"{name} /{where} {number}", method, place, (JSON,), with_literal(body, path, literal))


def identifiers(target: Target) -> Iterator[Case]:
    """Every path parameter of every operation as something else."""
    names = [quote(text, safe="") for text in TEXTS]
    names += [text for text in TEXTS if text.isascii() and text.isprintable() and not set(text) & set(" /?#%")]
    names += ["%00", "%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%252e%252e", "%ff", "%c0%ae%c0%ae", ".", "..", "a" * 5000]
    names += [f"{prefix}_{ID}" for prefix in ("ins", "job", "pol", "evl", "rec", "scn", "acc", "key", "aud", "xxx")]
    names += [f"ins_{ID}{tail}" for tail in ("x", "%0a", "%00", "%20", "/", ";a=b")]
    drawn = random.Random(1)
    for method, path, operation in target.operations("get", "post", "put", "delete"):
        wanted = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
        for parameter in wanted:
            for name in drawn.sample(names, 16):
                body = b"{}" if method in ("POST", "PUT") else None
                place = target.place(path, **{parameter: name})
                yield Case(f"{method} {path} {parameter}={name[:60]}", method, place, (JSON,) if body else (), body)


def paths(target: Target) -> Iterator[Case]:
    """Paths beside those offered, with every method."""
    roots = [
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v1//instances",
        "/V1/instances",
        "/v1/instances/",
        "/v1/instances;a=b",
        "/..;/",
    ]
    roots += ["/v1/../../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "/dashboard/../../../etc/passwd"]
    roots += ["/dashboard/x/..%2f..%2f..%2fsettings.py", "/dashboard/x/%2e%2e/%2e%2e/app.py", "/docs/../openapi.json"]
    roots += ["/.env", "/.git/config", "/wp-admin", "/actuator/env", "/server-status", "/openapi.json/x", "/docs/x"]
    roots += ["/v1/instances%00", "/v1/instances%0d%0aX-Injected:%20yes", "/v1/instances?x=%0d%0aX-Injected:%20yes"]
    roots += [
        "/" + "a" * 8000,
        "/" + "a/" * 3000,
        "/v1/" + "%41" * 2000,
        "/\u00e9",
        "/%c3%28",
        "/v1/instances#fragment",
    ]
    roots += ["/metrics/", "/healthz", "/healthz/", "/healthz/live/", "/healthz/../v1/keys", "/problems/../v1/keys"]
    for root in roots:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "GETT"):
            yield Case(f"{method} {root[:60]}", method, root)


def queries(target: Target) -> Iterator[Case]:
    """Every query parameter as something else, given twice, and parameters nobody knows."""
    odd = [
        "",
        "%00",
        "%ff",
        "0",
        "-1",
        "1e9",
        "99999999999999999999",
        "NaN",
        "١",
        "true",
        "[]",
        "a%0d%0aX-Injected: yes",
    ]
    drawn = random.Random(2)
    for method, path, operation in target.operations("get", "post"):
        place = target.place(path)
        if place.endswith("/events"):
            place += "?wait=0"
        mark = "&" if "?" in place else "?"
        body, sent = (b"{}", (JSON,)) if method == "POST" else (None, ())
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query":
                continue
            name = parameter["name"]
            for value in [*odd, *(quote(text) for text in drawn.sample(TEXTS, 12))]:
                query = f"{name}={value}"
                yield Case(f"{method} {path}?{query[:70]}", method, f"{place}{mark}{query}", sent, body)
            yield Case(f"{path}?{name} twice", method, f"{place}{mark}{name}=1&{name}=2", sent, body)
        for query in ("a=1", "=", "&&&", "%", "a[]=1&a[b]=2", "x" * 5000, "&".join(f"a{n}=1" for n in range(2000))):
            yield Case(f"{method} {path}?{query[:30]}", method, f"{place}{mark}{query}", sent, body)


HEADERS = (
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "from",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-event-id",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "sec-fetch-site",
    "te",
    "traceparent",
    "tracestate",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
    "x-original-url",
    "x-request-id",
    "x-rewrite-url",
)
_HEADER_VALUES = (
    b"",
    b" ",
    b"*",
    b"*/*;q=NaN",
    b"text/html;q=1e999,application/json;q=-1",
    b",,,,,",
    b";;;;",
    b"a" * 20_000,
    b"a," * 5000,
    b'"' * 100,
    b"\xff\xfe\x80",
    "é名".encode(),
    b"bytes=0-0,1-1," + b"2-2," * 500,
    b"bytes=-99999999999999999999",
    b"gzip, deflate, br, zstd",
    b"application/json; charset=utf-7",
    b"application/json; charset=" + b"x" * 500,
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=" + b"x" * 5000,
    b"Bearer " + b"x" * 10_000,
    b"Bearer hnk_" + b"A" * 43,
    b"Basic Og==",
    b'Digest username="a"',
    b"00-00000000000000000000000000000000-0000000000000000-ff",
    b"127.0.0.1, 10.0.0.1, unknown, [::1]:99999",
    b"DELETE",
    b"/v1/keys",
    b"100-continue",
    b"h2c",
    b"-1",
    b"99999999999999999999999",
    b"\tvalue\t",
    b"../../etc/passwd",
    b"' OR 1=1 --",
)


def headers(target: Target) -> Iterator[Case]:
    """Every header a server may look at, with values it does not expect, on reading and on writing."""
    honest = json.dumps(target.honest["validate_instance"]).encode()
    for name in HEADERS:
        for number, value in enumerate(_HEADER_VALUES):
            pair = (name.encode(), value)
            yield Case(f"GET {name} {number}", "GET", "/v1/instances?limit=1", (pair,))
            sent = (pair,) if name == "content-type" else (JSON, pair)
            yield Case(f"POST {name} {number}", "POST", "/v1/instances/validate", sent, honest)
    many = tuple((f"x-{number}".encode(), b"y") for number in range(500))
    yield Case("500 headers", "GET", "/v1/instances?limit=1", many)
    yield Case("a name of 10,000 characters", "GET", "/v1/instances?limit=1", ((b"x" * 10_000, b"y"),))
    for twice in (b"host", b"content-type", b"authorization", b"origin", b"idempotency-key"):
        yield Case(f"{twice.decode()} again", "POST", "/v1/instances/validate", (JSON, (twice, b"again")), honest, True)


def streams(target: Target) -> Iterator[Case]:
    """The stream of a job that has ended, by clients that claim to have seen anything."""
    place = target.place("/v1/jobs/{job_id}/events")
    claims = [
        b"0",
        b"1",
        b"-1",
        b"999999999999999999999",
        b"1e3",
        b"\xd9\xa1",
        b"",
        b"x",
        b"1\x00",
        b"0x1",
        b" 1",
        b"1,2",
    ]
    for claim in claims:
        for accept in (b"text/event-stream", b"application/json", b"*/*"):
            yield Case(f"seen {claim!r}", "GET", place, ((b"last-event-id", claim), (b"accept", accept)))
    for query in (
        "after=-1",
        "after=2147483648",
        "after=x",
        "limit=0",
        "limit=1001",
        "wait=-1",
        "wait=NaN",
        "wait=1e9",
    ):
        yield Case(f"stream ?{query}", "GET", f"{place}?{query}", ((b"accept", b"text/event-stream"),))


def compressed(target: Target) -> Iterator[Case]:
    """Bodies that would grow: 50 MiB behind a few kilobytes, under every name an encoding goes by."""
    packed = {b"gzip": values.bomb(), b"deflate": values.deflated(), b"zip": values.zipped_bomb()}
    encodings = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd", b"compress", b"gzip, gzip", b"identity, gzip", b"GZIP")
    for name, method, place, _ in target.bodies():
        for encoding in encodings:
            body = packed.get(encoding.lower().rpartition(b" ")[2], packed[b"gzip"])
            yield Case(f"{name} {encoding.decode()}", method, place, (JSON, (b"content-encoding", encoding)), body)
        yield Case(f"{name} gzip unsaid", method, place, (JSON,), packed[b"gzip"])


BOUNDARY = b"xyzxyz"


def form(*parts: tuple[bytes, bytes], end: bytes = b"--\r\n") -> bytes:
    """A multipart body of parts: the line of its disposition, and its content."""
    text = b"".join(b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts)
    return text + b"--" + BOUNDARY + end


def _field(name: str, value: str) -> tuple[bytes, bytes]:
    return f'Content-Disposition: form-data; name="{name}"'.encode(), value.encode()


def _file(name: str, content: bytes, filename: str = "a.csv") -> tuple[bytes, bytes]:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: text/csv'
    return head.encode("utf-8", "surrogatepass"), content


def _posted(name: str, place: str, body: bytes, boundary: bytes = BOUNDARY) -> Case:
    return Case(name, "POST", place, ((b"content-type", b"multipart/form-data; boundary=" + boundary),), body)


def files(target: Target) -> Iterator[Case]:
    """Every importer of every problem, states and scenario sets, with files that are not what they should be."""
    hostile = [*FILES, values.bomb(2**20), values.zipped_bomb(2**20)]
    state, sets = target.place("/v1/policies/{ref}/state"), "/v1/scenario-sets"
    for number, content in enumerate(hostile):
        for problem, formats in target.honest["importers"].items():
            for importer, parts in formats.items():
                words = [_field("problem", problem), _field("format", importer)]
                given = [_file(part, content) for part in parts]
                yield _posted(f"{problem} {importer} file {number}", "/v1/instances/import", form(*words, *given))
        for part in target.honest["state_files"]:
            yield _posted(f"state {part} file {number}", state, form(_file(part, content)))
        words = [_field("instance_id", target.known["instance_id"]), _field("name", "x")]
        yield _posted(f"scenarios file {number}", sets, form(*words, _file("scenarios", content)))


def forms(target: Target) -> Iterator[Case]:
    """Multipart bodies that are none, or have too many parts, odd names, no end."""
    part = _field("problem", "x")
    for place in ("/v1/instances/import", target.place("/v1/policies/{ref}/state"), "/v1/scenario-sets"):
        whole = form(part)
        yield _posted("no body", place, b"")
        yield _posted("no end", place, whole[:-6])
        yield _posted("another boundary", place, whole, b"other")
        yield _posted("bare line feeds", place, whole.replace(b"\r\n", b"\n"))
        yield _posted("21 files", place, form(*(_file(f"f{n}", b"x") for n in range(21))))
        yield _posted("2,000 fields", place, form(*(_field(f"f{n}", "x") for n in range(2000))))
        yield _posted("the same twice", place, form(part, part))
        yield _posted("a field of 200 kB", place, form(_field("problem", "x" * 200_000)))
        yield _posted("a name of 50 kB", place, form(_field("x" * 50_000, "x")))
        yield _posted("a file's name of 50 kB", place, form(_file("f", b"x", "x" * 50_000)))
        yield _posted("100 headers", place, form((b"\r\n".join(b"X-%d: y" % n for n in range(100)), b"x")))
        yield _posted("no disposition", place, form((b"Content-Type: text/plain", b"x")))
        yield _posted("no name", place, form((b"Content-Disposition: form-data", b"x")))
        yield _posted("another charset", place, form((b'Content-Disposition: form-data; name="p\xff"', b"\xff\xfe")))
        yield _posted("packed", place, form((part[0] + b"\r\nContent-Encoding: gzip", values.bomb(2**20))))
        inner = b"Content-Type: multipart/mixed; boundary=inner"
        yield _posted("a form in a form", place, form((part[0] + b"\r\n" + inner, b"--inner\r\n\r\nx\r\n--inner--")))
        for text in TEXTS:
            clean = text.replace('"', "%22").replace("\r\n", "%0d%0a")
            yield _posted(f"named {text[:30]}", place, form(_field(clean, text), _file(clean, b"x", clean)))
            yield _posted(f"problem {text[:30]}", place, form(_field("problem", text), _field("format", text)))


FAMILIES = (bodies, identifiers, paths, queries, headers, streams, compressed, files, forms)
