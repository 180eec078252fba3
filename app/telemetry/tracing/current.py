"""The process's tracer, where it has one, and the ids of the span that the calling code runs in."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Tracer, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# Of what may travel along with a trace only its ids do: baggage may hold anything, about people too.
PROPAGATOR = TraceContextTextMapPropagator()

_tracers: list[Tracer] = []


def current_tracer() -> Tracer | None:
    """What makes spans; none while the process is not traced."""
    return _tracers[-1] if _tracers else None


@contextmanager
def tracing_with(tracer: Tracer) -> Iterator[None]:
    """Make it the process's tracer for the block; what is opened in the block is traced."""
    _tracers.append(tracer)
    try:
        yield
    finally:
        _tracers.remove(tracer)


def current_trace_id() -> str | None:
    """The id of the trace that the calling code is a part of, as in `traceparent`."""
    context = trace.get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` for a line in the log; nothing outside of a trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}
