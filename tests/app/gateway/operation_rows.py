"""Operations in any state, created without a worker."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
from temporalio.client import Client

from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot, StepProgress
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

UNPOLLED_QUEUE = "unpolled"


def snapshot(status: OperationStatus, tenant_id: UUID | None = None, **fields: Any) -> OperationSnapshot:
    """Return the memo of an operation with that status."""
    shown = {
        "kind": TENANT_CREATION.name,
        "steps": tuple(StepProgress(name=step.name) for step in TENANT_CREATION.steps),
        **fields,
    }
    return OperationSnapshot(status=status, tenant_id=tenant_id, **shown)


async def start(client: Client, shown: OperationSnapshot, workflow_id: str | None = None) -> str:
    """Start a workflow whose memo is the snapshot, and return its id."""
    workflow_id = workflow_id or TENANT_CREATION.workflow_id(shown.tenant_id or uuid4())
    await client.start_workflow(
        TENANT_CREATION_WORKFLOW, {}, id=workflow_id, task_queue=UNPOLLED_QUEUE, memo={OPERATION_MEMO: shown}
    )
    return workflow_id


async def record(database: asyncpg.Connection, name: str = "Acme", **fields: Any) -> str:
    """Insert the row of an operation that Temporal does not know, and return its workflow id."""
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
        f"INSERT INTO alga_tenants.operations ({', '.join(row)}) VALUES ({places})",  # noqa: S608 - column names
        *row.values(),
    )
    return str(row["workflow_id"])
