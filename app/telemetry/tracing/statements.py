"""Spans of SQL statements, with their texts, which contain no values, and the SQLSTATE of errors."""

from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from sqlalchemy import ExceptionContext, ExecutionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import sqlstate
from app.telemetry.tracing.current import current_tracer

# Characters. A statement that writes many rows is repetitive.
MAX_TEXT_LENGTH = 2000


def trace_statements(engine: AsyncEngine) -> AsyncEngine:
    """Trace the statements of an engine if the process is traced, and return it."""
    tracer = current_tracer()
    if tracer is not None:
        spans = _Statements(tracer, engine.url.database or "")
        event.listen(engine.sync_engine, "before_cursor_execute", spans.begin)
        event.listen(engine.sync_engine, "after_cursor_execute", spans.end)
        event.listen(engine.sync_engine, "handle_error", spans.fail)
    return engine


class _Statements:
    def __init__(self, tracer: Tracer, database: str) -> None:
        self._tracer = tracer
        self._database = database
        self._open: WeakKeyDictionary[ExecutionContext, Span] = WeakKeyDictionary()

    # The parameters of `begin` and `end` are SQLAlchemy's.
    def begin(self, _conn: Any, _cur: Any, statement: str, _params: Any, context: ExecutionContext, _: Any) -> None:
        # Periodic statements, such as health checks, have no parent span and are not traced.
        if not trace.get_current_span().get_span_context().is_valid:
            return
        first_word = statement.split(maxsplit=1)[:1]
        operation = first_word[0].strip("(;").upper() if first_word else "SQL"
        self._open[context] = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": self._database,
                "db.operation.name": operation,
                "db.query.text": statement[:MAX_TEXT_LENGTH],
            },
        )

    def end(self, _conn: Any, _cur: Any, _sql: str, _params: Any, context: ExecutionContext, _: Any) -> None:
        span = self._open.pop(context, None)
        if span is not None:
            span.end()

    def fail(self, context: ExceptionContext) -> None:
        failed = context.execution_context
        span = self._open.pop(failed, None) if failed is not None else None
        if span is None:
            return
        state = sqlstate(context.sqlalchemy_exception or context.original_exception)
        if state is not None:
            span.set_attribute("db.response.status_code", state)
        span.set_attribute("error.type", state or type(context.original_exception).__name__)
        span.set_status(StatusCode.ERROR)
        span.end()
