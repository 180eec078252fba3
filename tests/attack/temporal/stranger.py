"""A client that may write to Temporal, as Alga's own server may, and has none of our keys."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from google.protobuf.duration_pb2 import Duration
from temporalio.api.common.v1 import Memo, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from tests.support.waiting import wait_until

PATIENCE = 120.0
# A start with this delay stays in the queue, although a worker runs.
LATER = Duration(seconds=3600)
CREATION = "tenantCreationWorkflow"


def clear(document: Any) -> Payload:
    """A document as JSON in clear, as Alga's client sends it."""
    return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(document).encode())


def asking(**changes: Any) -> dict[str, Any]:
    """A request as Alga's client sends it, with an e-mail of its own."""
    return {
        "tenantName": "Direct",
        "adminUser": {
            "firstName": "Grace",
            "lastName": "Hopper",
            "email": f"grace-{uuid4().hex}@direct.example",
            "password": "chosen by a stranger",
        },
        **changes,
    }


@dataclass(frozen=True)
class Stranger:
    """Writes what it likes, byte by byte."""

    client: Client
    task_queue: str

    @classmethod
    async def at(cls, address: str, task_queue: str) -> "Stranger":
        """One who talks to the server at the address and starts workflows on the task queue."""
        return cls(await Client.connect(address), task_queue)

    async def start(
        self,
        *arguments: Payload,
        workflow_type: str = CREATION,
        workflow_id: str | None = None,
        memo: Mapping[str, Payload] | None = None,
        delay: Duration | None = None,
    ) -> WorkflowHandle[Any, Any]:
        """Start a workflow with payloads as they are."""
        workflow_id = workflow_id or f"appliance-{uuid4()}"
        started = await self.client.workflow_service.start_workflow_execution(
            StartWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_id=workflow_id,
                workflow_type=WorkflowType(name=workflow_type),
                task_queue=TaskQueue(name=self.task_queue),
                input=Payloads(payloads=arguments),
                memo=Memo(fields=memo or {}),
                workflow_start_delay=delay,
                request_id=str(uuid4()),
                identity="stranger",
            )
        )
        return self.client.get_workflow_handle(workflow_id, run_id=started.run_id)

    async def start_signalled(
        self, signal: str, signal_input: Sequence[Payload], *arguments: Payload, workflow_type: str = CREATION
    ) -> WorkflowHandle[Any, Any]:
        """Start a workflow whose first task has a signal already."""
        workflow_id = f"appliance-{uuid4()}"
        started = await self.client.workflow_service.signal_with_start_workflow_execution(
            SignalWithStartWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_id=workflow_id,
                workflow_type=WorkflowType(name=workflow_type),
                task_queue=TaskQueue(name=self.task_queue),
                input=Payloads(payloads=arguments),
                signal_name=signal,
                signal_input=Payloads(payloads=signal_input),
                request_id=str(uuid4()),
                identity="stranger",
            )
        )
        return self.client.get_workflow_handle(workflow_id, run_id=started.run_id)

    async def signal(self, handle: WorkflowHandle[Any, Any], name: str, *arguments: Payload) -> None:
        """Signal a workflow with payloads as they are."""
        await self.client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                signal_name=name,
                input=Payloads(payloads=arguments),
                request_id=str(uuid4()),
                identity="stranger",
            )
        )

    async def input_of(self, workflow_id: str) -> Sequence[Payload]:
        """Return a workflow's argument from its history, which any reader of the history can send again."""
        async for event in self.client.get_workflow_handle(workflow_id).fetch_history_events():
            return event.workflow_execution_started_event_attributes.input.payloads
        raise AssertionError("a workflow without a start")

    async def memo_of(self, workflow_id: str) -> Mapping[str, Payload]:
        """The memo of a workflow as Temporal has it."""
        description = await self.client.get_workflow_handle(workflow_id).describe()
        return dict(description.raw_info.memo.fields)


async def ended(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionStatus:
    """Return how the workflow ended, once it has."""

    async def has_ended() -> bool:
        return (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING

    await wait_until(has_ended, timeout=PATIENCE, every=0.05)
    status = (await handle.describe()).status
    assert status is not None
    return status
