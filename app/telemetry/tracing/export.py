"""Exports spans in batches, without the messages of exceptions."""

import threading
from collections.abc import Sequence
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Status, Tracer

from app.settings import Settings

DISTRIBUTION = "alga-tenants"

# Seconds, for one batch and for the remaining spans at the end.
EXPORT_TIMEOUT = 2.0
FLUSH_TIMEOUT = 3.0

EXCEPTION_TYPE = "exception.type"


class Export:
    """The spans of a process. They go to the configured endpoint unless an exporter is given."""

    def __init__(self, settings: Settings, service: str, exporter: SpanExporter | None = None) -> None:
        self._exporter = RedactingExporter(
            exporter
            or OTLPSpanExporter(
                endpoint=settings.traces_endpoint, headers=settings.traces_headers, timeout=EXPORT_TIMEOUT
            )
        )
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
            resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version(DISTRIBUTION)}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """Return the tracer whose spans are exported."""
        return self._provider.get_tracer(DISTRIBUTION, version(DISTRIBUTION))

    def stop(self) -> None:
        """Send the remaining spans within `FLUSH_TIMEOUT`, plus `EXPORT_TIMEOUT` for a request in progress."""
        # The provider would wait for 30 s, or for as long as a collector trickles its response.
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(FLUSH_TIMEOUT)
        if sending.is_alive():
            self._exporter.shutdown()
            sending.join(EXPORT_TIMEOUT)


class RedactingExporter(SpanExporter):
    """Removes messages and tracebacks. A driver's message may contain values of a row."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_shut_down = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        if self._is_shut_down.is_set():
            return SpanExportResult.FAILURE
        return self._exporter.export([_without_messages(span) for span in spans])

    def shutdown(self) -> None:
        """Stop exporting, also while waiting for a retry."""
        if not self._is_shut_down.is_set():
            self._is_shut_down.set()
            self._exporter.shutdown()


def _without_messages(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_without_message(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _without_message(event: Event) -> Event:
    attributes = event.attributes or {}
    kept = {EXCEPTION_TYPE: attributes[EXCEPTION_TYPE]} if EXCEPTION_TYPE in attributes else {}
    return Event(event.name, kept, event.timestamp)
