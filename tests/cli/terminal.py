"""The command line as tests use it: in this process where that is enough, as a process where signals matter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import psutil
from typer.testing import CliRunner

from service.cli import app

COMMAND = [sys.executable, "-m", "service.cli"]
START_SECONDS = 60.0


def say(*words: str, stdin: str | bytes | None = None) -> Any:
    """Run a command in this process; the result has exit_code, stdout and stderr."""
    result = CliRunner().invoke(app, list(words), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def say_json(*words: str, stdin: str | bytes | None = None) -> Any:
    """The document that a command with `--json` prints; the command must succeed."""
    result = say(*words, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs still; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Serving:
    """A `herenow serve` of its own process group, with everything it started."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        self.process = process
        self.url: str = ready["url"]
        self.ready = ready
        self.lines: list[str] = []  # of its standard error, once it has ended
        self.family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]

    def child(self, word: str) -> psutil.Process:
        """The child whose command line has this word."""
        return next(p for p in self.family[1:] if any(word in part for part in p.cmdline()))

    def all_gone(self, seconds: float) -> bool:
        """Whether the process and all it started end within the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None and not any(is_alive(member) for member in self.family):
                return True
            time.sleep(0.05)
        return False

    def workers(self) -> list[psutil.Process]:
        """Its living workers."""
        return [p for p in self.family[0].children() if is_alive(p) and "worker" in p.cmdline()]


@contextmanager
def serving(data_dir: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[Serving]:
    """A ready `herenow serve` on a free port; killed with all it started if the test leaves it running."""
    command = [*COMMAND, "serve", "--json", "--port", "0", "--data-dir", str(data_dir), "--stop-on-eof", *words]
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (not a pipe: nobody reads while it logs)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=os.environ | (env or {}),
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, _text(errors)
    server = Serving(process, json.loads(line))
    try:
        yield server
    finally:
        process.terminate()
        if not server.all_gone(30):
            for member in server.family:
                member.kill()
            raise AssertionError("serve left processes behind")
        server.lines = _text(errors).splitlines()
        process.stdout.close()
        errors.close()


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
