"""Operations that stand where a test wants them, made without a worker."""

from typing import Any
from uuid import UUID, uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from app.temporal.operations import workflow_id_of
from workflows.messages import OPERATION_MEMO, OperationSnapshot, OperationStatus, StepProgress
from workflows.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW, Step

NOBODY = "nobody-polls"


def snapshot(status: OperationStatus, tenant_id: UUID | None = None, **fields: Any) -> OperationSnapshot:
    """What the memo of an operation with that status says."""
    return OperationSnapshot(
        kind=TENANT_CREATION,
        status=status,
        tenant_id=tenant_id,
        steps=tuple(StepProgress(name=step) for step in Step),
        **fields,
    )


async def start(client: Client, shown: OperationSnapshot, workflow_id: str | None = None) -> str:
    """Start a workflow of ours whose memo holds the snapshot; returns its id, the gateway's own one by default."""
    workflow_id = workflow_id or workflow_id_of(shown.tenant_id or uuid4())
    await client.start_workflow(
        TENANT_CREATION_WORKFLOW, {}, id=workflow_id, task_queue=NOBODY, memo={OPERATION_MEMO: shown}
    )
    return workflow_id


async def forget(client: Client, workflow_id: str) -> None:
    """Let Temporal forget a workflow, as it does after the retention period."""
    handle = client.get_workflow_handle(workflow_id)
    await handle.terminate()
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id)
        )
    )
    while await _is_known(client, workflow_id):
        pass


async def _is_known(client: Client, workflow_id: str) -> bool:
    try:
        await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
