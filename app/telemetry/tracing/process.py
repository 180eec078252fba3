"""Traces a process from its start to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.settings import Settings
from app.telemetry.tracing.current import tracing_with

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


@contextmanager
def traced(settings: Settings, service: str, exporter: "SpanExporter | None" = None) -> Iterator[None]:
    """Trace what happens in the block, and send what is left at its end, for which it waits 5 s at most.

    Does nothing where no endpoint is set, unless an exporter is given. `service` names the process.
    """
    if settings.traces_endpoint is None and exporter is None:
        yield
        return
    from app.telemetry.tracing.export import Export  # noqa: PLC0415 - a tenth of a second for those who want no traces

    export = Export(settings, service, exporter)
    try:
        with tracing_with(export.tracer):
            yield
    finally:
        export.stop()
