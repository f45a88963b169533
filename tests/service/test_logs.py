"""What processes say: lines for people and for machines, with the request and the job they belong to."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from service import logs
from service.settings import Settings

log = logging.getLogger("service.tests")


@pytest.fixture
def keep_logging() -> Iterator[None]:
    """`configure` changes the process's logging; the test run gets its own back."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level
    sys.excepthook, threading.excepthook = hooks


def written(**given: Any) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(Settings(**given), "api", stream)
    return stream


class TestLines:
    """The forms of a line."""

    def test_a_line_for_machines_is_one_object(self, keep_logging: None) -> None:
        stream = written(log_format="json")
        with logs.bound(request_id="r1", job_id=None):
            log.warning("it %s", 'took "long"\n', extra={"job_id": "job_1"})
        line = json.loads(stream.getvalue())
        assert stream.getvalue().count("\n") == 1
        assert (line["level"], line["role"], line["message"]) == ("warning", "api", 'it took "long"\n')
        assert (line["request_id"], line["job_id"]) == ("r1", "job_1")
        assert line["time"].endswith("Z")

    def test_a_traceback_is_part_of_its_line(self, keep_logging: None) -> None:
        stream = written(log_format="json")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("it failed")
        line = json.loads(stream.getvalue())
        assert line["error"] == "ValueError"
        assert "raise ValueError" in line["traceback"]

    def test_a_line_for_people_ends_with_what_it_is_of(self, keep_logging: None) -> None:
        stream = written()
        with logs.bound(request_id="r1"):
            log.info("done")
        log.info("idle")
        first, second = stream.getvalue().splitlines()
        assert first.endswith("service.tests: done [request_id=r1]")
        assert second.endswith("service.tests: idle")

    def test_what_is_done_elsewhere_meanwhile_is_not_of_it(self, keep_logging: None) -> None:
        stream = written()
        with logs.bound(request_id="r1"):
            thread = threading.Thread(target=log.info, args=("elsewhere",))
            thread.start()
            thread.join()
        assert logs.current("request_id") is None
        assert "request_id" not in stream.getvalue()

    def test_an_error_nobody_catches_is_a_line_too(self) -> None:
        code = (
            "from service import logs; from service.settings import Settings\n"
            "logs.configure(Settings(log_format='json'), 'api')\n"
            "raise RuntimeError('gone')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        line = json.loads(done.stderr)
        assert (line["level"], line["error"]) == ("critical", "RuntimeError")


def test_without_a_collector_the_sdk_is_not_imported() -> None:
    code = (
        "import sys; from service.app import create_app; import service.worker, service.jobs.child\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
