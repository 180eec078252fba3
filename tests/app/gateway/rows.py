"""Operations in any state and tenants of Alga, made without a worker."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from temporalio.client import Client

from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot, StepProgress
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

UNPOLLED_QUEUE = "unpolled"
NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


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


async def insert(database: asyncpg.Connection, table: str, **row: Any) -> None:
    columns = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())  # noqa: S608 - ours


async def add_tenant(database: asyncpg.Connection, name: str = "Acme", **row: Any) -> UUID:
    """Insert a tenant as Alga itself might."""
    tenant_id = uuid4()
    tenant = {"client_name": name, "email": f"{tenant_id}@acme.example", "billing_source": "stripe", **row}
    await insert(database, "tenants", **{"tenant": tenant_id, "created_at": NOON, **tenant})
    return tenant_id


async def add_client(database: asyncpg.Connection, tenant: UUID, name: str, *, is_own: bool = True) -> None:
    client_id = uuid4()
    await insert(database, "clients", tenant=tenant, client_id=client_id, client_name=name)
    await insert(database, "tenant_companies", tenant=tenant, client_id=client_id, is_default=is_own)


async def add_user(database: asyncpg.Connection, tenant: UUID, **row: Any) -> None:
    email = f"{uuid4()}@acme.example"
    await insert(
        database, "users", **{"tenant": tenant, "username": email, "email": email, "hashed_password": "x", **row}
    )


async def add_deletion(database: asyncpg.Connection, tenant_id: UUID, step: str | None = None, **row: Any) -> str:
    """Insert a deletion with its operation, which is open if a step is given, and return the workflow id."""
    workflow_id, run_id = f"tenant-deletion-{uuid4()}", str(uuid4())
    is_open = {"status": "running"} if step else {"status": "completed", "finished_at": NOON}
    await record(
        database,
        workflow_id=workflow_id,
        run_id=run_id,
        kind="tenant_deletion",
        tenant_id=tenant_id,
        step=step,
        **is_open,
    )
    deletion = {"deletion_id": uuid4(), "tenant_created_at": NOON, "grace_period_days": 30, **row}
    await insert(
        database, "alga_tenants.deletions", workflow_id=workflow_id, run_id=run_id, tenant_id=tenant_id, **deletion
    )
    return workflow_id
