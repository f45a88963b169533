"""The tree holds nothing that turns what comes in into code, into an address to fetch, or into a path.

The source is read as syntax, so no way of writing a call hides it; what may stay is listed with the reason.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("models", "solvers", "service", "migrations")

# Modules nobody may import, but for the files named: unpickling runs code, archives unpack to bombs, and so on.
FORBIDDEN = {
    "pickle": (), "_pickle": (), "cPickle": (), "dill": (), "cloudpickle": (), "joblib": (), "shelve": (),
    "marshal": (), "jsonpickle": (), "code": (), "codeop": (), "ctypes.util": (),
    "telnetlib": (), "ftplib": (), "smtplib": (),
    "xml": (), "lxml": (),  "tarfile": (), "bz2": (), "lzma": (), "pty": (), "yaml": (),
    # Addresses are fetched by the command line and the client (the user's own server), by `serve` (its own readiness).
    "requests": (), "aiohttp": (), "urllib.request": (), "urllib3": (), "http.client": (), "webbrowser": (),
    "httpx": ("service/cli/", "service/client/", "service/serve.py"),
    # Our own files are packed; an operator's backup is read by the names and digests of its manifest.
    "zipfile": ("service/backup/",),
    "gzip": ("service/dashboard/files.py", "service/backup/"),
    # Between a training and its lanes, ranks and helpers (decision 0018). Managers and the like pickle; pipes need not.
    "multiprocessing.managers": (), "multiprocessing.pool": (), "multiprocessing.queues": (),
    "multiprocessing.reduction": (), "multiprocessing.shared_memory": (),
    "multiprocessing.connection": ("solvers/", "service/jobs/helpers.py"),
    "multiprocessing": ("solvers/", "service/jobs/"),
}  # fmt: skip

CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
ATTRIBUTES = {
    ("os", "system"), ("os", "popen"), ("os", "execv"), ("os", "execvp"), ("subprocess", "getoutput"),
    ("subprocess", "getstatusoutput"), ("tempfile", "mktemp"),  ("numpy", "load"),
    ("np", "load"), ("pandas", "read_pickle"), ("pd", "read_pickle"), ("pandas", "eval"), ("yaml", "load"),
}  # fmt: skip
# A connection of multiprocessing pickles what it is to `send`, and unpickles what it is to `recv`; ranks of torch do so
# with objects. Bytes alone may pass (`solvers.messages`), and tensors. Files that use these names for other things:
PICKLING = {
    "send", "recv", "broadcast_object_list", "all_gather_object", "gather_object", "scatter_object_list",
    "send_object_list", "recv_object_list",
}  # fmt: skip
NOT_OF_CONNECTIONS = {
    "service/http_protocol.py": "h11's state of an HTTP connection",
    "service/client/flows.py": "a generator",
    "service/client/wires.py": "generators, and httpx' client",
    "service/middleware.py": "ASGI's callable that answers a request",
}
SAYS = {("shell", True), ("weights_only", False), ("verify", False), ("autoescape", False)}
SAID_WITH_REASON = {("service/serve.py", "verify")}  # plain HTTP to itself on this machine: no certificate is in play
# Modules by a name that is not written there: a problem's or a solver's room, or what an operator names in a variable.
IMPORTS_BY_NAME = {"models/lazy.py", "models/registry.py", "solvers/registry.py"}


@functools.cache
def sources() -> list[tuple[str, ast.Module]]:
    """Every file of the product: its place from the root, and its syntax."""
    paths = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())) for path in paths]


def imported(node: ast.AST) -> list[str]:
    """Full names of what a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def forbidden_imports(place: str, tree: ast.Module) -> list[str]:
    """What a file imports that it may not."""
    found = []
    for node in ast.walk(tree):
        for name in imported(node):
            for module, allowed in FORBIDDEN.items():
                if (name == module or name.startswith(module + ".")) and not place.startswith(allowed or ("/",)):
                    found.append(f"{place}:{node.lineno} imports {name}")  # type: ignore[attr-defined]
    return found


def dangerous_calls(place: str, tree: ast.Module) -> list[str]:
    """Calls that evaluate text, start a shell, or load what may run."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in CALLS:
            found.append(f"{place}:{node.lineno} calls {called.id}")
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            pair = (called.value.id, called.attr)
            safe = any(w.arg == "weights_only" and ast.unparse(w.value) == "True" for w in node.keywords)
            if pair == ("torch", "load") and not safe:
                found.append(f"{place}:{node.lineno} unpickles whatever it is given")
            if pair in ATTRIBUTES or (pair == ("importlib", "import_module") and place not in IMPORTS_BY_NAME):
                found.append(f"{place}:{node.lineno} calls {'.'.join(pair)}")
        for word in node.keywords:
            value = word.value.value if isinstance(word.value, ast.Constant) else None
            if (word.arg, value) in SAYS and (place, word.arg) not in SAID_WITH_REASON:
                found.append(f"{place}:{node.lineno} says {word.arg}={value}")
            if word.arg in ("serializer", "task_serializer", "accept_content") and "pickle" in ast.dump(word.value):
                found.append(f"{place}:{node.lineno} lets pickles through")
    return found


def pickling_pipes(place: str, tree: ast.Module) -> list[str]:
    """Where a connection or a group of ranks may be told to pickle: any mention of a method, called or handed on."""
    if place in NOT_OF_CONNECTIONS:
        return []
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in PICKLING]
    return [f"{place}:{node.lineno} says .{node.attr}" for node in named]


def text_in_sql(place: str, tree: ast.Module) -> list[str]:
    """SQL text put together from variables, but for names that stand in the same file."""
    found = []
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text"
        if is_text and node.args and isinstance(node.args[0], ast.JoinedStr):
            found.append(f"{place}:{node.lineno}")
    return found


def test_nothing_is_imported_that_runs_or_fetches_what_it_is_given() -> None:
    assert [fault for place, tree in sources() for fault in forbidden_imports(place, tree)] == []


def test_nothing_is_evaluated_and_no_shell_is_started() -> None:
    assert [fault for place, tree in sources() for fault in dangerous_calls(place, tree)] == []


def test_nothing_is_pickled_between_processes() -> None:
    assert [fault for place, tree in sources() for fault in pickling_pipes(place, tree)] == []


def test_files_that_may_say_send_know_no_pipes() -> None:
    read = dict(sources())
    for place in NOT_OF_CONNECTIONS:
        names = [name for node in ast.walk(read[place]) for name in imported(node)]
        assert not [name for name in names if name.startswith("multiprocessing")], place


def test_no_sql_is_made_of_text_that_came_in() -> None:
    """The only assembled statements name SQLite's own settings, from a list beside them."""
    found = [fault for place, tree in sources() for fault in text_in_sql(place, tree)]
    assert [fault for fault in found if not fault.startswith("service/system/repository.py")] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import os\nos.system('id')",
        "eval(x)",
        "import subprocess\nsubprocess.run(x, shell=True)",
        "import torch\ntorch.load(x)",
        "from urllib.request import urlopen",
        "import importlib\nimportlib.import_module(x)",
        "Celery(task_serializer='pickle')",
        "import httpx",
        "from multiprocessing.managers import BaseManager",
        "pipe.send(x)",
        "x = connection.recv()",
        "say = pipe.send",
    ],
)
def test_each_rule_catches_what_it_is_for(source: str) -> None:
    tree = ast.parse(source)
    place = "service/x.py"
    assert forbidden_imports(place, tree) + dangerous_calls(place, tree) + pickling_pipes(place, tree)
