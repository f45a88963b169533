"""Hostile values: what stands in place of an honest one in bodies, headers, paths, queries and files."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from typing import Any

ID = "01K9ZV6Q5RJ8XAMB4T0CWD3EFG"

TEXTS = (
    "",
    " ",
    "\t",
    "a" * 300,
    "é" * 70,
    "名前",
    "\u202e\u200b\ufeff",
    "\U0001f4a5" * 20,
    "e\u0301" * 40,
    "İıſK",  # characters that change when their case does
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "\\\\host\\share",
    "' OR '1'='1",
    "'; DROP TABLE jobs; --",
    '" OR ""="',
    "1; SELECT pg_sleep(10)",
    "$(sleep 10)",
    "`sleep 10`",
    "| cat /etc/passwd",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "%s%s%s%n%x",
    "{0.__class__.__mro__}",
    "__import__('os').system('id')",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "\r\nX-Injected: yes",
    "\x1b[31mred\x07",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)",
    "null",
    "undefined",
    "NaN",
    "true",
    "0",
    "-1",
    "1e309",
    "0x10",
    "١٢٣",  # digits that are not ASCII
    "con",
    "__proto__",
    "constructor",
    "key_" + ID,
    f"ins_{ID}",
    f"ins_{ID.lower()}",
)

# Literals of JSON: values of every type, and what the grammar or the service does not take.
LITERALS = (
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e308",
    "1e309",
    "-1e999",
    "1e-400",
    "2147483648",
    "9007199254740993",
    "9223372036854775808",
    "1" + "0" * 299,
    "9" * 5000,
    "0." + "1" * 400,
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    "1.",
    ".5",
    "0x1F",
    "1_000",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[1, [2, [3]]]",
    '{"a": {"b": {}}}',
    '{"": 0}',
    '{"__proto__": {"admin": true}}',
    '{"$ref": "file:///etc/passwd"}',
    '{"a": 1, "a": 2}',
    '"\\ud800"',
    '"\\u0000"',
    '"\\uDBFF\\uDFFF"',
    '"\\x41"',
    "'single'",
    "undefined",
    "// comment\n1",
    "[1,]",
    "[" * 63 + "]" * 63,
    "[" * 65 + "]" * 65,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 100 + "1" + "}" * 100,
    '{"a":' * 5000,
    "[" + "0," * 20_000 + "0]",
    '"' + "x" * 100_000 + '"',
    "{" + ",".join(f'"k{number}": 0' for number in range(3000)) + "}",
)

# Whole bodies that are no JSON text at all, or not in UTF-8.
BODIES = (
    b"",
    b" ",
    b"\x00",
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"\xc0\x80",
    b'"\xed\xa0\x80"',
    b"{",
    b"}",
    b"[",
    b'"',
    b"nul",
    b"{}{}",
    b"{} trailing",
    b"<xml/>",
    b"a=1&b=2",
    "{}".encode("utf-16"),
    "{}".encode("utf-32"),
    b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",  # a pickle
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
    b"%PDF-1.7",
    bytes(range(256)),
    b"[" * 100_000,
    b'{"a":' * 30_000,
    b"[" + b'"\\u0000",' * 1000 + b'""]',
    b" " * 250_000,
)


def bomb(size: int = 50 * 2**20) -> bytes:
    """A gzip member that unpacks to `size` bytes of zeros."""
    return gzip.compress(bytes(size), 9)


def zipped_bomb(size: int = 50 * 2**20) -> bytes:
    """A zip file, shaped as a workbook, whose sheet unpacks to `size` bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(size))
        archive.writestr("../../../etc/cron.d/x", "* * * * * root id")
    return content.getvalue()


def deflated(size: int = 50 * 2**20) -> bytes:
    """A zlib stream that unpacks to `size` bytes."""
    return zlib.compress(bytes(size), 9)


FILES = (
    b"",
    b"\n" * 5000,
    b"node,on_hand\n",
    b"node,on_hand\nstore,=1+1\n",
    b"node,on_hand\nstore,@SUM(A1)\n",
    b"node,on_hand\nstore,1e999\n",
    b"node,on_hand\nstore,NaN\n",
    b"node,on_hand\nstore,-1\n",
    b"node,on_hand\n../../etc/passwd,1\n",
    b"node,on_hand\nstore,1,2,3\n",
    b"node,on_hand\nstore\n",
    b'node,on_hand\n"store,1\n',
    b'node,on_hand\n"' + b"x" * 200_000,
    b"node,on_hand\nstore,\x00\n",
    b"node,node\nstore,store\n",
    b",\n,\n",
    b"\xff\xfe" + "node,on_hand\nstore,1\n".encode("utf-16-le"),
    b"\xff\xfe\x00",
    b"\xff\xff\xff\xff",
    b"sep=;\nnode;on_hand\nstore;1,5\n",
    b"sep=\n\n",
    (",".join(f"c{number}" for number in range(5000)) + "\n").encode(),
    b"a,b\n" + b"1,2\n" * 50_000,
    b"date,store\n9999-99-99,1\n",
    b"date,store\n" + "٢٠٢٦-٠١-٠١,1\n".encode(),
    b'=HYPERLINK("http://127.0.0.1"),x\n1,2\n',
    b"function mpc = x\nmpc.version = '2';\nsystem('id');\n",
    b"function mpc = x\nmpc.bus = [" + b"1 " * 20_000 + b"];\n",
    b"mpc.bus = [" * 5000,
    b"%" * 200_000,
    b"[" * 50_000,
    b'{"a": NaN}',
    b'{"a":' * 5000,
    b"\x80\x04\x95.",
    b"GIF89a" + bytes(1000),
)


def leaves(document: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The place of every value in a document, the whole first."""
    found = [path]
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += leaves(value, (*path, key))
    return found


def with_literal(document: Any, path: tuple[str | int, ...], literal: str) -> bytes:
    """The document as JSON text with a literal, whatever it is, at a place."""
    if not path:
        return literal.encode()
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "@@here@@"
    return json.dumps(copy).replace('"@@here@@"', literal).encode()
