"""The process's tracer, and the ids of the current span."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Tracer, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# Propagates ids only. Baggage may contain personal data.
PROPAGATOR = TraceContextTextMapPropagator()

_tracers: list[Tracer] = []


@contextmanager
def traced(settings: Settings, service: str, exporter: "SpanExporter | None" = None) -> Iterator[None]:
    """Trace the block, then send the remaining spans, which takes 5 s at most.

    Does nothing without an exporter or a configured endpoint. `service` names the process.
    """
    if settings.traces_endpoint is None and exporter is None:
        yield
        return
    from app.telemetry.tracing.export import Export  # noqa: PLC0415 - the import takes 0.1 s

    export = Export(settings, service, exporter)
    _tracers.append(export.tracer)
    try:
        yield
    finally:
        _tracers.pop()
        export.stop()


def current_tracer() -> Tracer | None:
    """Return the process's tracer, or None if it is not traced."""
    return _tracers[-1] if _tracers else None


def current_trace_id() -> str | None:
    """Return the id of the current trace, as in `traceparent`."""
    return current_ids().get("trace_id")


def current_ids() -> dict[str, str]:
    """Return `trace_id` and `span_id` for a log line, or nothing outside of a trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
