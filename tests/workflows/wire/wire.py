"""Alga's client, which has no key, and our worker with scripted activities."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Payload
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from tests.workflows.observing import snapshot_of
from tests.workflows.wire.scripted_wire import WireScript
from workflows.operations.messages import OperationWarning
from workflows.tenants.steps import WIRE_DELETION_WORKFLOW

Handle = WorkflowHandle[Any, Any]
ADA = "3e0b0f5e-9d5a-4c55-8f0c-0d4b5a6c7d8e"
DAYS_OF_ALGAS_CLIENT = timedelta(days=100)
# What a stranger might try; the wire grants none of it.
FORGED = {
    "origin": {"requestedBy": "key:root", "requestedVia": "key:root"},
    "confirmed": True,
    "gracePeriodDays": 0,
    "export": True,
    "warnings": [],
    "tenantName": "Renamed",
}


def asking(**changes: Any) -> dict[str, Any]:
    """Return the argument as Alga's client sends it."""
    return {"tenantId": str(uuid4()), "triggerSource": "stripe_webhook", "triggeredBy": ADA, **changes}


@dataclass
class Wire:
    """Alga's client, and our worker on the same server."""

    alga: Client
    ours: Client
    script: WireScript
    task_queue: str = field(default_factory=lambda: f"queue-{uuid4()}")

    async def start(self, argument: Any = None, **options: Any) -> Handle:
        """Start a deletion as Alga's client does."""
        argument = asking() if argument is None else argument
        tenant_id = argument.get("tenantId") if isinstance(argument, dict) else argument
        workflow_id = options.pop("id", f"tenant-deletion-{tenant_id}-1764000000000")
        options.setdefault("execution_timeout", DAYS_OF_ALGAS_CLIENT)
        return await self.alga.start_workflow(
            WIRE_DELETION_WORKFLOW, argument, id=workflow_id, task_queue=self.task_queue, **options
        )

    async def deletion_of(self, parent: Handle) -> Handle:
        """Return the deletion that the workflow has started, as Alga's client sees it."""
        with anyio.fail_after(60):
            while True:
                async for event in parent.fetch_history_events():
                    started = event.child_workflow_execution_started_event_attributes.workflow_execution
                    if started.workflow_id:
                        return self.alga.get_workflow_handle(started.workflow_id, run_id=started.run_id)
                await anyio.sleep(0.005)

    def as_we_see(self, handle: Handle) -> Handle:
        return self.ours.get_workflow_handle(handle.id)


async def shows(handle: Handle, **expected: Any) -> dict[str, Any]:
    """Return the state of the workflow once it has these values."""
    with anyio.fail_after(60):
        while True:
            try:
                state: dict[str, Any] = await handle.query("getDeletionState")
            except RPCError:  # no task of the workflow has run yet
                state = {}
            if expected.items() <= state.items():
                return state
            await anyio.sleep(0.005)


def with_converter(client: Client, converter: DataConverter) -> Client:
    config: Any = {**client.config(), "data_converter": converter}
    return Client(**config)


async def skip(wire: Wire, **time: float) -> None:
    """Let that time pass on the server that skips time."""
    duration = Duration()
    duration.FromTimedelta(timedelta(**time))
    service = wire.alga.service_client.test_service
    await service.unlock_time_skipping_with_sleep(SleepRequest(duration=duration))


async def warned(deletion: Handle, code: str) -> OperationWarning:
    """Return the deletion's warning of that code, once it shows one."""
    with anyio.fail_after(60):
        while True:
            try:
                found = [warning for warning in (await snapshot_of(deletion)).warnings if warning.code == code]
            except KeyError:  # it has not published anything yet
                found = []
            if found:
                return found[0]
            await anyio.sleep(0.005)


async def ended(handle: Handle) -> WorkflowExecutionStatus:
    """Return how the workflow ended, once it has."""
    with anyio.fail_after(60):
        while True:
            status = (await handle.describe()).status
            if status not in {None, WorkflowExecutionStatus.RUNNING}:
                return status
            await anyio.sleep(0.005)


def error_of(code: str) -> ApplicationError:
    return ApplicationError("refused by the test", type=code, non_retryable=True)


def encodings(payloads: Iterable[Payload]) -> set[str]:
    return {payload.metadata["encoding"].decode() for payload in payloads}
