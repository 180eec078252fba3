"""One operation that can't be compared does not stop a round."""

import anyio
import asyncpg
import pytest
from pydantic import SecretStr
from temporalio.client import Client

from app.settings import Settings, TemporalSettings
from app.telemetry.metrics.definitions import RECONCILE_FAILURES
from app.temporal.client import connect
from app.temporal.errors import UnreadableOperationError
from app.worker.reconciler import Reconciler
from tests.app.worker.reconciler.scenarios import (
    ANOTHER_KEY,
    ERROR,
    findings_of,
    listed,
    operation,
    request,
    row_of,
    unrecorded,
)
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio


async def test_a_row_that_the_database_refuses_to_close_does_not_stop_the_round(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    refused, closed = sorted([await operation(client, database, OperationStatus.RUNNING) for _ in range(2)])
    for workflow_id in (refused, closed):
        await client.get_workflow_handle(workflow_id).terminate()
    before = RECONCILE_FAILURES._value.get()
    await database.execute(
        f"ALTER TABLE alga_tenants.operations ADD CONSTRAINT never"
        f" CHECK (workflow_id <> '{refused}' OR finished_at IS NULL)"
    )
    try:
        assert [finding.workflow_id for finding in await findings_of(reconciler)] == [closed]
    finally:
        await database.execute("ALTER TABLE alga_tenants.operations DROP CONSTRAINT never")
    assert RECONCILE_FAILURES._value.get() == before + 1
    assert [finding.workflow_id for finding in await findings_of(reconciler)] == [refused]


async def test_a_row_that_this_release_cannot_read_does_not_stop_the_round(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    broken, closed = sorted([await operation(client, database, OperationStatus.RUNNING) for _ in range(2)])
    for workflow_id in (broken, closed):
        await client.get_workflow_handle(workflow_id).terminate()
    await database.execute(
        """UPDATE alga_tenants.operations SET steps = '["nonsense"]' WHERE workflow_id = $1""", broken
    )
    assert [finding.workflow_id for finding in await findings_of(reconciler)] == [closed]


async def test_an_operation_with_an_unknown_key_does_not_stop_the_round(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    strangers = TemporalSettings(temporal_address=settings.temporal_address, payload_keys=SecretStr(ANOTHER_KEY))
    stranger = await connect(strangers)
    unreadable = await operation(stranger, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    await unrecorded(stranger, settings, request(), OperationStatus.NEEDS_ATTENTION)
    readable = await operation(client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    with anyio.fail_after(20):
        while not await listed(client, settings):
            await anyio.lowlevel.checkpoint()
    assert [finding.workflow_id for finding in await findings_of(reconciler)] == [readable]
    assert (await row_of(database, unreadable))["status"] == "running"
    with pytest.raises(UnreadableOperationError, match="key 'stranger', which is not known here"):
        await reconciler.reconcile_one(unreadable)
