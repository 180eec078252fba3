"""Sends spans away in batches, without anything that an exception says."""

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

# Seconds: for one batch, and for what is left at the end.
EXPORT_TIMEOUT = 2.0
FLUSH_TIMEOUT = 3.0

EXCEPTION_TYPE = "exception.type"


class Export:
    """A provider of spans for one process, and where they go: the configured endpoint, unless given."""

    def __init__(self, settings: Settings, service: str, exporter: SpanExporter | None = None) -> None:
        self._exporter = DiscreetExporter(exporter or _over_http(settings))
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
            resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version(DISTRIBUTION)}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))

    @property
    def tracer(self) -> Tracer:
        """What makes spans that are sent."""
        return self._provider.get_tracer(DISTRIBUTION, version(DISTRIBUTION))

    def stop(self) -> None:
        """Send what is left; give up after `FLUSH_TIMEOUT`, and on a request under way `EXPORT_TIMEOUT` later."""
        # The provider waits for half a minute, and for as long as a collector answers byte by byte.
        sending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(FLUSH_TIMEOUT)
        if sending.is_alive():
            self._exporter.shutdown()
            sending.join(EXPORT_TIMEOUT)


class DiscreetExporter(SpanExporter):
    """Passes spans on without messages and tracebacks: a driver's message, for one, shows values of a row."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_shut_down = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        if self._is_shut_down.is_set():
            return SpanExportResult.FAILURE
        return self._exporter.export([_without_messages(span) for span in spans])

    def shutdown(self) -> None:
        """End a wait for the next try, too, and send nothing any more."""
        if not self._is_shut_down.is_set():
            self._is_shut_down.set()
            self._exporter.shutdown()


def _over_http(settings: Settings) -> SpanExporter:
    return OTLPSpanExporter(
        endpoint=settings.traces_endpoint, headers=settings.traces_headers, timeout=EXPORT_TIMEOUT
    )


def _without_messages(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_type_only(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _type_only(event: Event) -> Event:
    attributes = event.attributes or {}
    kept = {EXCEPTION_TYPE: attributes[EXCEPTION_TYPE]} if EXCEPTION_TYPE in attributes else {}
    return Event(event.name, kept, event.timestamp)
