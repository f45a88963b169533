"""What the processes say of their work: a line for every event, as text or as JSON, with the request and job it is of.

`configure` sets this process up; `bound` names what the lines of a piece of work belong to, in this thread or task and
in every one started from it. Code says what it has to say through `logging`, as ever.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Any

from service import tracing
from service.redaction import redacted
from service.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
ACCESS = "uvicorn.access"
_ACCESS_FIELDS = ("client", "method", "path", "http_version", "status")  # what uvicorn passes with each line
_EXTRA = ("request_id", "job_id")  # what a single line may name by `extra=`

_bound: ContextVar[Mapping[str, str]] = ContextVar("herenow_log_fields", default={})  # noqa: B039 (never changed)


@contextmanager
def bound(**fields: str | None) -> Iterator[None]:
    """Lines written inside carry these fields (such as `request_id`, `job_id`); one that is None is left out."""
    token = _bound.set({**_bound.get(), **{name: value for name, value in fields.items() if value is not None}})
    try:
        yield
    finally:
        _bound.reset(token)


def current(field: str) -> str | None:
    """What lines written now carry as that field."""
    return _bound.get().get(field)


def configure(settings: Settings, role: str, stream: IO[str] | None = None) -> None:
    """Log to `stream` (standard error if left out): the service at its level, libraries only when they warn."""
    level = settings.log_level.upper()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(settings, role))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level if level == "DEBUG" else max(level, "WARNING", key=logging.getLevelName))
    logging.getLogger("service").setLevel(level)
    logging.getLogger(ACCESS).setLevel("INFO")  # whether there are such lines at all is a setting of its own
    logging.captureWarnings(True)
    if settings.log_format == "json":
        _log_what_nobody_catches()


def formatter(settings: Settings, role: str) -> logging.Formatter:
    """How lines look in this process."""
    return JsonLines(role) if settings.log_format == "json" else TextLines(TEXT)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a line belongs to, and what uvicorn tells of a request beside its sentence."""
    fields: dict[str, Any] = dict(_bound.get())
    fields |= {name: getattr(record, name) for name in _EXTRA if getattr(record, name, None) is not None}
    fields |= tracing.ids()
    if record.name == ACCESS and isinstance(record.args, tuple) and len(record.args) == len(_ACCESS_FIELDS):
        fields |= dict(zip(_ACCESS_FIELDS, record.args, strict=True))
    return fields


class TextLines(logging.Formatter):
    """For people: the sentence, then what it belongs to in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; a traceback follows on lines of its own."""
        own = {name: value for name, value in fields_of(record).items() if name not in _ACCESS_FIELDS}
        first, *rest = super().format(record).split("\n")
        marks = " ".join(f"{name}={value}" for name, value in own.items())
        return redacted("\n".join([f"{first} [{marks}]" if marks else first, *rest]))


class JsonLines(logging.Formatter):
    """For machines: one JSON object a line, tracebacks included."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "role": self._role,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = self.formatException(record.exc_info)
        return redacted(json.dumps(line, ensure_ascii=False, default=str))


def _log_what_nobody_catches() -> None:
    """A traceback printed as it is would be many lines that no machine reads."""
    log = logging.getLogger(__name__)

    def crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("the process ends with an error nobody caught", exc_info=(kind, error, trace))

    def thread_crashed(given: threading.ExceptHookArgs) -> None:
        if given.exc_type is not SystemExit and given.exc_value is not None:
            name = given.thread.name if given.thread is not None else "?"
            log.critical("thread %s ended with an error", name, exc_info=(given.exc_type, given.exc_value, None))

    sys.excepthook = crashed
    threading.excepthook = thread_crashed
