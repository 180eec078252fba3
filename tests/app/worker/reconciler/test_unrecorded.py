"""Operations without a row, or with a row of another end."""

import asyncpg
import pytest
from temporalio.client import Client

from app.settings import Settings
from app.worker.reconciler import Reconciler
from tests.app.worker.reconciler.scenarios import adopted, findings_of, request, row_of, unrecorded
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio


async def test_an_operation_without_a_row_can_be_reconciled_by_its_id(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    workflow_id = await unrecorded(client, settings, request())
    await client.get_workflow_handle(workflow_id).terminate()
    _, finding = await reconciler.reconcile_one(workflow_id)
    assert finding is not None
    assert finding.status is OperationStatus.FAILED
    assert (await row_of(database, workflow_id))["status"] == "failed"


async def test_a_parked_operation_without_a_row_gets_one(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    given = request(tenantName="Umbrella", productCode="algadesk")
    workflow_id = await unrecorded(client, settings, given, OperationStatus.NEEDS_ATTENTION)
    assert await adopted(reconciler, workflow_id) == [OperationStatus.QUEUED, OperationStatus.NEEDS_ATTENTION]
    row = await row_of(database, workflow_id)
    assert (row["status"], row["tenant_name"], row["product_code"]) == ("needs_attention", "Umbrella", "algadesk")
    assert await findings_of(reconciler) == []
    await client.get_workflow_handle(workflow_id).terminate()


async def test_a_workflow_that_was_terminated_before_its_first_step_gets_a_failed_row(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    workflow_id = await unrecorded(client, settings, request())
    await client.get_workflow_handle(workflow_id).terminate()
    assert await adopted(reconciler, workflow_id) == [OperationStatus.QUEUED, OperationStatus.FAILED]
    row = await row_of(database, workflow_id)
    assert (row["status"], row["tenant_id"]) == ("failed", None)


async def test_a_foreign_workflow_gets_no_row_and_an_unreadable_request_one_without_a_name(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    elsewhere = settings.model_copy(update={"temporal_task_queue": "elsewhere"})
    others = [
        await unrecorded(client, elsewhere, request()),
        await unrecorded(client, settings, {"tenantName": 5}),
        await unrecorded(client, settings, "nonsense"),
    ]
    ours = await unrecorded(client, settings, request())
    assert await adopted(reconciler, ours) == [OperationStatus.QUEUED]
    stranger, *not_understood = others
    assert await row_of(database, stranger) is None
    for workflow_id in not_understood:
        row = await row_of(database, workflow_id)
        assert row is None or row["tenant_name"] is None
    for workflow_id in (ours, *others):
        await client.get_workflow_handle(workflow_id).terminate()


async def test_a_parked_workflow_with_a_completed_row_continues(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    workflow_id = await unrecorded(client, settings, request(), OperationStatus.NEEDS_ATTENTION)
    assert await adopted(reconciler, workflow_id) == [OperationStatus.QUEUED, OperationStatus.NEEDS_ATTENTION]
    await database.execute(
        "UPDATE alga_tenants.operations SET status = 'completed', committed_at = now(), finished_at = now()"
    )
    assert await adopted(reconciler, workflow_id) == [OperationStatus.RUNNING]
    handle = client.get_workflow_handle(workflow_id)
    events = (await handle.fetch_history()).events
    signals = [event.workflow_execution_signaled_event_attributes.signal_name for event in events]
    assert signals.count("resume") == 1
    await handle.terminate()
