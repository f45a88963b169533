"""Traces: one request followed through worker and child process, when there is a collector to send them to.

Spans go out by OpenTelemetry's OTLP over HTTP if `trace_endpoint` is set (extra `tracing`); requests get theirs from
the web framework. Otherwise nothing of the SDK is imported, and `span` and `ids` cost a comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.version import VERSION

if TYPE_CHECKING:
    from service.settings import Settings

FLUSH_MS = 3000  # how long an ending process waits for its last spans to be sent

_tracer: Any = None
_shutdown: Callable[[], None] | None = None


class NoTracing(RuntimeError):
    """Traces are asked for and cannot be made; the text says what is missing."""


def configure(settings: Settings, role: str) -> None:
    """Send this process's spans to the settings' collector, if they name one; NoTracing without the extra."""
    if not settings.trace_endpoint or _tracer is not None:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError:
        raise NoTracing("HERENOW_TRACE_ENDPOINT is set: install herenow[tracing]") from None
    names = {"service.name": f"herenow-{role}", "service.version": VERSION}
    provider = TracerProvider(
        resource=Resource.create(names), sampler=ParentBased(TraceIdRatioBased(settings.trace_share))
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(settings.trace_endpoint, timeout=FLUSH_MS / 1000), schedule_delay_millis=1000
        )
    )
    _use(provider)


def _use(provider: Any) -> None:
    """Make the provider the process's own; the web framework finds it there."""
    from opentelemetry import trace

    global _tracer, _shutdown
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("herenow", VERSION)

    def shutdown() -> None:
        provider.force_flush(FLUSH_MS)
        provider.shutdown()

    _shutdown = shutdown


def close() -> None:
    """Send what is left; for a process that ends."""
    global _tracer, _shutdown
    if _shutdown is not None:
        _shutdown()
    _tracer = _shutdown = None


@contextmanager
def span(name: str, parent: str | None = None, **attributes: str | int | float | None) -> Iterator[None]:
    """A span around a piece of work, below the present one or below `parent` (a W3C traceparent)."""
    if _tracer is None:
        yield
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    above = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    known = {key: value for key, value in attributes.items() if value is not None}
    with _tracer.start_as_current_span(name, context=above, attributes=known):
        yield


def traceparent() -> str | None:
    """The present span as a W3C traceparent, to go on from elsewhere; None without one."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def ids() -> Mapping[str, str]:
    """The present span's trace for a log line; empty without one."""
    if _tracer is None:
        return {}
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}


class Phases:
    """Spans that follow one another: entering a phase ends the one before."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._open: Any = None
        self._above: Any = None
        if _tracer is not None:
            from opentelemetry import context

            self._above = context.get_current()  # phases may be entered on other threads

    def enter(self, name: str) -> None:
        """The phase `name` begins, unless it is going on."""
        if _tracer is None or name == self._name:
            return
        self.leave()
        self._name, self._open = name, _tracer.start_span(name, context=self._above)

    def leave(self) -> None:
        """The present phase is over."""
        if self._open is not None:
            self._open.end()
        self._name = self._open = None
