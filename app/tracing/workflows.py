"""Spans of workflows and activities, and the trace's ids on the way to them."""

from opentelemetry.trace import Tracer
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.worker import WorkflowInboundInterceptor, WorkflowInterceptorClassInput

from app.tracing.current import PROPAGATOR


class TraceContextInterceptor(TracingInterceptor):
    """The SDK's interceptor for a client and the workers that use it, which passes no baggage on."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        self.text_map_propagator = PROPAGATOR

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
