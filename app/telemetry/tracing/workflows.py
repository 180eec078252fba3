"""Spans of workflows and activities, and the trace's ids on the way to them."""

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
    """Reads and writes the header that carries a trace's ids.

    Whoever starts a workflow writes that header, so anything may be in it: what is no `traceparent` is left out,
    because an error in here would stop the workflow for good.
    """

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        """Each as JSON."""
        return PayloadConverter.default.to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:  # noqa: ARG002 - the SDK's signature
        """A dictionary for each, empty where there is nothing to go on with."""
        return [_carrier(payload.data) for payload in payloads]


def _carrier(data: bytes) -> dict[str, str]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    value = found.get(TRACEPARENT) if isinstance(found, dict) else None
    return {TRACEPARENT: value} if isinstance(value, str) else {}


class TraceContextInterceptor(TracingInterceptor):
    """The SDK's interceptor for a client and the workers that use it, which passes no baggage on."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        self.text_map_propagator = PROPAGATOR
        self.payload_converter = CarrierConverter()

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[TracingWorkflowInboundInterceptor]:
        """What traces within workflows."""
        super().workflow_interceptor_class(input)
        return _InWorkflow


class _InWorkflow(TracingWorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:  # noqa: A002 - the SDK's name
        super().__init__(next)
        self.text_map_propagator = PROPAGATOR
        self.payload_converter = CarrierConverter()
