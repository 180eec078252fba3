"""A span for each SQL statement of an engine: its text, which holds no values, and the SQLSTATE of its error."""

from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from sqlalchemy import Connection, ExceptionContext, ExecutionContext, event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import sqlstate
from app.telemetry.tracing.current import current_tracer

# Characters. A statement that writes many rows repeats itself.
LONGEST_TEXT = 2000


def trace_statements(engine: AsyncEngine) -> AsyncEngine:
    """The engine, with spans where the process is traced."""
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

    def begin(
        self,
        _connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        context: ExecutionContext,
        _: bool,
    ) -> None:
        # What runs regularly of itself, like looks at the health, is no part of anybody's request.
        if not trace.get_current_span().get_span_context().is_valid:
            return
        operation = _operation(statement)
        self._open[context] = self._tracer.start_span(
            operation,
            kind=SpanKind.CLIENT,
            attributes={
                "db.system.name": "postgresql",
                "db.namespace": self._database,
                "db.operation.name": operation,
                "db.query.text": statement[:LONGEST_TEXT],
            },
        )

    def end(
        self,
        _connection: Connection,
        _cursor: Any,
        _statement: str,
        _parameters: Any,
        context: ExecutionContext,
        _: bool,
    ) -> None:
        span = self._open.pop(context, None)
        if span is not None:
            span.end()

    def fail(self, context: ExceptionContext) -> None:
        failed = context.execution_context
        span = self._open.pop(failed, None) if failed is not None else None
        if span is None:
            return
        error = context.sqlalchemy_exception or context.original_exception
        state = sqlstate(error)
        if state is not None:
            span.set_attribute("db.response.status_code", state)
        span.set_attribute("error.type", state or type(context.original_exception).__name__)
        span.set_status(StatusCode.ERROR)
        span.end()


def _operation(statement: str) -> str:
    """The first word, which says what is done."""
    words = statement.split(maxsplit=1)
    return words[0].strip("(;").upper() if words else "SQL"
