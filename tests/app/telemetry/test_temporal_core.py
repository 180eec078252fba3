"""Metrics of failures in the SDK."""

from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from temporalio import workflow
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, MetricBufferDurationFormat, Runtime, TelemetryConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from app.embedded.temporal import EmbeddedTemporal
from app.telemetry.metrics.temporal_core import CoreMetrics
from tests.support.telemetry.metric_names import TEMPORALS_ON_FAILURE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@workflow.defn
class Broken:
    """Fails its workflow task, like a bug in a release."""

    @workflow.run
    async def run(self) -> None:
        raise ZeroDivisionError


async def test_failed_workflow_tasks_are_counted_by_type_and_reason(temporal: EmbeddedTemporal) -> None:
    buffer = MetricBuffer(10_000, duration_format=MetricBufferDurationFormat.SECONDS)
    registry = CollectorRegistry()
    core = CoreMetrics(registry)
    ((name, labels),) = TEMPORALS_ON_FAILURE.items()

    shown: list[set[str]] = []

    async def is_counted() -> bool:
        for update in buffer.retrieve_updates():
            core.apply(update)
        samples = [sample for family in registry.collect() for sample in family.samples]
        shown[:] = [set(sample.labels) for sample in samples if sample.name == name]
        return bool(shown)

    runtime = Runtime(telemetry=TelemetryConfig(metrics=buffer))
    client = await Client.connect(temporal.address, runtime=runtime)
    queue = f"broken-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[Broken], workflow_runner=UnsandboxedWorkflowRunner()):
        handle = await client.start_workflow(Broken.run, id=queue, task_queue=queue)
        await wait_until(is_counted, timeout=30)
        await handle.terminate()
    assert shown == [labels]
