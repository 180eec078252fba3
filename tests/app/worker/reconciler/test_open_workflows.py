"""Showing in rows why their open workflows wait."""

from datetime import timedelta

import asyncpg
import pytest
from temporalio.client import Client

from app.worker.reconciler import Reconciler
from tests.app.gateway.rows import record
from tests.app.worker.reconciler.scenarios import ERROR, LATER, findings_of, operation, row_of
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio


async def test_a_row_shows_why_its_workflow_waits(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(
        client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR, attention_deadline=LATER
    )
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.NEEDS_ATTENTION)
    row = await row_of(database, workflow_id)
    assert (row["status"], row["attention_deadline"], row["finished_at"]) == ("needs_attention", LATER, None)
    assert "database-unavailable" in row["error"]
    assert await findings_of(reconciler) == []


async def test_a_row_gets_the_tenant_id_that_its_workflow_generated(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    tenant_id = (await row_of(database, workflow_id))["tenant_id"]
    await database.execute("UPDATE alga_tenants.operations SET tenant_id = NULL")
    await findings_of(reconciler)
    assert (await row_of(database, workflow_id))["tenant_id"] == tenant_id


@pytest.mark.parametrize("status", [OperationStatus.QUEUED, OperationStatus.RUNNING])
async def test_the_row_of_an_operation_at_work_is_left_alone(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, status: OperationStatus
) -> None:
    workflow_id = await operation(client, database, status)
    before = await row_of(database, workflow_id)
    assert await findings_of(reconciler) == []
    assert await row_of(database, workflow_id) == before


async def test_a_row_that_a_transaction_holds_delays_no_other(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, database_url: str
) -> None:
    held, other = [await operation(client, database, OperationStatus.WAITING) for _ in range(2)]
    holder = await asyncpg.connect(database_url)
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM alga_tenants.operations WHERE workflow_id = $1 FOR UPDATE", held)
            # A wait for the row would end with an error, after the statement timeout.
            _, nothing = await reconciler.reconcile_one(held)
            assert nothing is None
            [finding] = await findings_of(reconciler)
            assert finding.workflow_id == other
    finally:
        await holder.close()
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (held, OperationStatus.WAITING)


async def test_recently_written_rows_are_left_alone(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    await operation(client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    assert await findings_of(reconciler, untouched_for=timedelta(minutes=1)) == []


async def test_operations_of_another_namespace_are_ignored(
    reconciler: Reconciler, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="running", namespace="elsewhere")
    assert await findings_of(reconciler) == []
    assert (await row_of(database, workflow_id))["status"] == "running"


async def test_one_operation_can_be_reconciled_by_its_id(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    named, other = [await operation(client, database, OperationStatus.RETRYING, error=ERROR) for _ in range(2)]
    found, finding = await reconciler.reconcile_one(named)
    assert found is not None
    assert finding is not None
    assert finding.status is OperationStatus.RETRYING
    assert (await row_of(database, other))["status"] == "running"
    assert await reconciler.reconcile_one("unknown") == (None, None)
