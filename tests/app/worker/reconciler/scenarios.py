"""Operations in Temporal and in the table, in the state that a test needs."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
from temporalio.client import Client

from app.settings import Settings
from app.worker.reconciler import Finding, Reconciler
from tests.app.gateway.rows import record, snapshot, start
from workflows.operations.messages import OPERATION_MEMO, OperationError
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import TENANT_CREATION

ERROR = OperationError(code="database-unavailable", detail="the connection was lost")
ANOTHER_KEY = f"stranger:{base64.b64encode(bytes(32)).decode()}"
LATER = datetime(2099, 1, 2, tzinfo=UTC)


def request(**changes: Any) -> dict[str, Any]:
    """Return a request as Alga's TypeScript client sends it."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": "Ada@acme.example", "password": "correct horse"}
    return {"tenantName": "Acme", "adminUser": admin, "companyName": "Acme Corp", "licenseCount": 5, **changes}


async def findings_of(reconciler: Reconciler, **options: Any) -> list[Finding]:
    return [finding async for finding in reconciler.reconcile(**options)]


async def row_of(database: asyncpg.Connection, workflow_id: str) -> asyncpg.Record:
    return await database.fetchrow("SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)


async def operation(client: Client, database: asyncpg.Connection, status: OperationStatus, **fields: Any) -> str:
    """A workflow whose memo says that, and its row, which says that it is running."""
    tenant_id = uuid4()
    workflow_id = await start(client, snapshot(status, tenant_id, **fields))
    run_id = (await client.get_workflow_handle(workflow_id).describe()).run_id
    await record(database, workflow_id=workflow_id, run_id=run_id, tenant_id=tenant_id, status="running")
    return workflow_id


async def commit(database: asyncpg.Connection, workflow_id: str, *, pending: str | None = None) -> None:
    """Commit the operation in its row, with or without a step that follows."""
    steps = [
        {"name": step.name, "status": "pending" if pending in {step.name, step.activity} else "completed"}
        for step in TENANT_CREATION.steps
    ]
    await database.execute(
        "UPDATE alga_tenants.operations SET committed_at = now(), steps = $2::jsonb, result = $3::jsonb"
        " WHERE workflow_id = $1",
        workflow_id,
        json.dumps(steps),
        json.dumps({"tenantId": str(uuid4())}),
    )


async def listed(client: Client, settings: Settings) -> list[str]:
    """Return the workflows that Temporal lists on our task queue, which is a moment late."""
    query = f"TaskQueue = '{settings.temporal_task_queue}'"
    return [workflow.id async for workflow in client.list_workflows(query)]


async def unrecorded(client: Client, settings: Settings, argument: Any, status: OperationStatus | None = None) -> str:
    """A workflow on our task queue none of whose steps could write a row."""
    workflow_id = f"appliance-{uuid4()}"
    await client.start_workflow(
        "tenantCreationWorkflow",
        argument,
        id=workflow_id,
        task_queue=settings.temporal_task_queue,
        memo={OPERATION_MEMO: snapshot(status, uuid4(), error=ERROR)} if status else None,
    )
    return workflow_id


async def adopted(reconciler: Reconciler, workflow_id: str) -> list[OperationStatus]:
    """Return the findings about the operation, once Temporal lists it."""
    with anyio.fail_after(20):
        while True:
            found = [
                finding.status for finding in await findings_of(reconciler) if finding.workflow_id == workflow_id
            ]
            if found:
                return found
