"""Spans of workflows and activities, and the propagation of trace ids to them."""

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.trace import Tracer
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.converter import PayloadConverter
from temporalio.worker import WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from app.telemetry.tracing.current import PROPAGATOR

TRACEPARENT = "traceparent"


class CarrierConverter(PayloadConverter):
    """Reads and writes the header with the trace ids.

    Any client that starts a workflow may write it. Invalid content is ignored, because an error would block the
    workflow.
    """

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Return each value as JSON."""
        return PayloadConverter.default.to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:  # noqa: ARG002 - the SDK's signature
        """Return a dictionary for each payload, empty if it has no `traceparent`."""
        return [_carrier(payload.data) for payload in payloads]


def _carrier(data: bytes) -> dict[str, str]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    value = header.get(TRACEPARENT) if isinstance(header, dict) else None
    return {TRACEPARENT: value} if isinstance(value, str) else {}


class TraceContextInterceptor(TracingInterceptor):
    """The SDK's interceptor for a client and its workers, without baggage."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        self.text_map_propagator = PROPAGATOR
        self.payload_converter = CarrierConverter()

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[TracingWorkflowInboundInterceptor]:
        """Return the interceptor within workflows."""
        super().workflow_interceptor_class(input)
        return _InWorkflow


class _InWorkflow(TracingWorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:  # noqa: A002 - the SDK's name
        super().__init__(next)
        self.text_map_propagator = PROPAGATOR
        self.payload_converter = CarrierConverter()
