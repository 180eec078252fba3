"""Closing the rows of operations whose workflows have ended."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.operations.queries import find_operation
from activities.operations.reconciliation import settle_ended
from activities.operations.rows import request_cancel
from app.temporal.operations import TemporalOperations
from app.worker.reconciler import Reconciler
from tests.app.gateway.rows import record, snapshot, start
from tests.app.worker.reconciler.scenarios import (
    commit,
    findings_of,
    operation,
    row_of,
)
from tests.support.audit import AUDIT
from workflows.operations.messages import Cancellation, OperationContext
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import SEND_WELCOME_EMAIL

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("how", ["terminated", "forgotten"])
async def test_a_workflow_that_ended_before_its_commit_has_failed(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, how: str
) -> None:
    if how == "terminated":
        workflow_id = await operation(client, database, OperationStatus.QUEUED)
        await client.get_workflow_handle(workflow_id).terminate()
    else:
        workflow_id = await record(database, status="running")
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.FAILED)
    assert finding.detail.endswith("nothing was written")
    row = await row_of(database, workflow_id)
    assert (row["status"], json.loads(row["error"])["code"]) == ("failed", "ended-outside")
    assert row["finished_at"] is not None


@pytest.mark.parametrize("how", ["terminated", "forgotten"])
async def test_a_workflow_that_ended_after_its_commit_has_completed_with_a_warning(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, how: str
) -> None:
    if how == "terminated":
        workflow_id = await operation(client, database, OperationStatus.RUNNING)
        await client.get_workflow_handle(workflow_id).terminate()
    else:
        workflow_id = await record(database, status="running")
    await commit(database, workflow_id, pending=SEND_WELCOME_EMAIL)
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.COMPLETED)
    row = await row_of(database, workflow_id)
    assert (row["status"], row["progress"], row["error"]) == ("completed", 100, None)
    [warning] = json.loads(row["warnings"])
    assert warning["code"] == "ended-outside"
    assert warning["detail"].endswith(f"after the commit; not done: {SEND_WELCOME_EMAIL}")
    assert json.loads(row["result"])["tenantId"]


async def test_an_ended_workflow_is_described_once_over_several_rounds(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await client.get_workflow_handle(workflow_id).terminate()
    described = watch_descriptions(monkeypatch)
    assert len(await findings_of(reconciler)) == 1
    for _ in range(3):
        assert await findings_of(reconciler) == []
    assert described.count(workflow_id) == 1


def watch_descriptions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The workflow ids that Temporal is asked about from now on."""
    described: list[str] = []
    describe = TemporalOperations.describe

    async def noted(port: TemporalOperations, workflow_id: str, run_id: str | None = None) -> Any:
        described.append(workflow_id)
        return await describe(port, workflow_id, run_id)

    monkeypatch.setattr(TemporalOperations, "describe", noted)
    return described


@pytest.mark.parametrize("noted_in", ["row", "cancellations"])
async def test_an_operation_that_was_cancelled_before_its_commit_is_closed_as_cancelled(
    reconciler: Reconciler, client: Client, engine: AsyncEngine, database: asyncpg.Connection, noted_in: str
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    row = await row_of(database, workflow_id)
    if noted_in == "row":
        await database.execute("UPDATE alga_tenants.operations SET status = 'cancelling', cancelled_by = 'key:x'")
    else:
        async with engine.begin() as connection:
            await request_cancel(connection, workflow_id, row["run_id"], Cancellation(by="key:x"))
    await client.get_workflow_handle(workflow_id).terminate()
    assert [finding.status for finding in await findings_of(reconciler)] == [OperationStatus.CANCELLED]
    row = await row_of(database, workflow_id)
    assert (row["status"], row["error"]) == ("cancelled", None)


async def test_an_operation_that_was_cancelled_after_its_commit_is_closed_as_completed(
    reconciler: Reconciler, client: Client, engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await commit(database, workflow_id)
    row = await row_of(database, workflow_id)
    async with engine.begin() as connection:
        await request_cancel(connection, workflow_id, row["run_id"], Cancellation(by="key:x"))
    await client.get_workflow_handle(workflow_id).terminate()
    assert [finding.status for finding in await findings_of(reconciler)] == [OperationStatus.COMPLETED]


async def test_the_first_reader_of_an_ended_operation_closes_its_row(
    reconciler: Reconciler, client: Client, engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await client.get_workflow_handle(workflow_id).terminate()
    row = await row_of(database, workflow_id)
    shown = snapshot(OperationStatus.RUNNING, row["tenant_id"], started_at=row["started_at"])
    context = OperationContext(workflow_id=workflow_id, run_id=row["run_id"], snapshot=shown)
    async with engine.begin() as connection:
        settled = await settle_ended(connection, context, "the workflow was terminated", AUDIT)
    assert settled is not None
    assert settled.snapshot.status is OperationStatus.FAILED
    assert await findings_of(reconciler) == []
    async with engine.connect() as connection:
        assert await find_operation(connection, workflow_id) == settled


async def test_a_row_gets_the_end_that_its_workflow_reported(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.CANCELLED)
    await client.get_workflow_handle(workflow_id).terminate()
    assert [finding.status for finding in await findings_of(reconciler)] == [OperationStatus.CANCELLED]
    assert (await row_of(database, workflow_id))["status"] == "cancelled"


async def test_a_row_from_a_backup_before_the_commit_is_closed_as_failed(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.COMPLETED)
    await client.get_workflow_handle(workflow_id).terminate()
    [finding] = await findings_of(reconciler)
    assert finding.status is OperationStatus.FAILED


async def test_an_earlier_run_with_the_same_id_is_closed_by_its_own_end(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await client.get_workflow_handle(workflow_id).terminate()
    await start(client, snapshot(OperationStatus.RUNNING, uuid4()), workflow_id)
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.FAILED)


async def test_two_reconcilers_close_an_operation_once(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    for _ in range(3):
        await client.get_workflow_handle(await operation(client, database, OperationStatus.RUNNING)).terminate()
    both = await asyncio.gather(findings_of(reconciler), findings_of(reconciler))
    assert sorted(len(found) for found in both) == sorted((3 - len(both[0]), len(both[0])))
    assert sum(len(found) for found in both) == 3
