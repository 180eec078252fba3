"""Operations that stand where a test wants them, made without a worker."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
from temporalio.client import Client

from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot, StepProgress
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

NOBODY = "nobody-polls"


def snapshot(status: OperationStatus, tenant_id: UUID | None = None, **fields: Any) -> OperationSnapshot:
    """What the memo of an operation with that status says."""
    shown = {
        "kind": TENANT_CREATION.name,
        "steps": tuple(StepProgress(name=step.name) for step in TENANT_CREATION.steps),
        **fields,
    }
    return OperationSnapshot(status=status, tenant_id=tenant_id, **shown)


async def start(client: Client, shown: OperationSnapshot, workflow_id: str | None = None) -> str:
    """Start a workflow of ours whose memo holds the snapshot; returns its id, the gateway's own one by default."""
    workflow_id = workflow_id or TENANT_CREATION.workflow_id(shown.tenant_id or uuid4())
    await client.start_workflow(
        TENANT_CREATION_WORKFLOW, {}, id=workflow_id, task_queue=NOBODY, memo={OPERATION_MEMO: shown}
    )
    return workflow_id


async def record(database: asyncpg.Connection, name: str = "Acme", **fields: Any) -> str:
    """Write the row of an operation that Temporal does not know; returns its workflow id."""
    tenant_id = uuid4()
    row = {
        "workflow_id": TENANT_CREATION.workflow_id(tenant_id),
        "run_id": str(uuid4()),
        "kind": TENANT_CREATION.name,
        "tenant_id": tenant_id,
        "tenant_name": name,
        "product_code": "psa",
        "status": "queued",
        **fields,
    }
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await database.execute(
        f"INSERT INTO alga_tenants.operations ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - names of columns
        *row.values(),
    )
    return str(row["workflow_id"])
