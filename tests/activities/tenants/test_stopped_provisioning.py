"""A provisioning commits nothing once its operation was cancelled, changed or closed."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations.activities import OperationActivities
from activities.operations.queries import find_operation
from activities.operations.rows import OperationRow, revoke_start
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import ON_ONE_SHAPE, POLICY, closing_input, provision_input
from tests.activities.tenants.attempts import (
    ASKED,
    PARTS,
    cancel,
    close,
    details_of,
    error_of,
    everything,
    operation_row,
    paused_in,
    record,
    waiting,
)
from tests.support.audit import AUDIT
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until
from workflows.operations.messages import FailureDetails, Origin, ParameterChangeInput
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import TenantCreationInput
from workflows.tenants.steps import (
    COMPLETE,
    SET_UP_DATA,
    VALIDATE,
)

# What stops a provisioning is in our own tables.
pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]


async def test_a_cancel_that_came_before_leaves_nothing_and_says_who_asked(
    provisioning: ProvisioningActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await record(engine, tenant_request)
    await cancel(engine, tenant_request)
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("cancel-requested", True)
    assert details_of(error) == FailureDetails(step=VALIDATE, cancel=ASKED)
    assert await everything(database) == before


@pytest.mark.parametrize("part", PARTS[:-1])
async def test_a_cancel_that_comes_during_any_part_leaves_nothing(
    provisioning: ProvisioningActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    part: str,
) -> None:
    before = await everything(database)
    async with paused_in(database, part) as pause:
        attempt = asyncio.create_task(error_of(provisioning.provision_tenant(provision_input(tenant_request))))
        await pause.until_reached()
        await cancel(engine, tenant_request)
        await pause.release()
        error = await attempt
    assert error.type == "cancel-requested"
    assert details_of(error) == FailureDetails(step=COMPLETE, cancel=ASKED)
    assert await everything(database) == before


async def test_a_cancel_that_comes_right_before_the_commit_leaves_nothing(
    provisioning: ProvisioningActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    database_url: str,
    tenant_request: TenantCreationInput,
) -> None:
    before = await everything(database)
    operation = provision_input(tenant_request).operation
    canceller = await asyncpg.connect(database_url)
    noted: list[str] = []

    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.endswith("COMMIT") and "committed_at" in statement:
            noted.append(statement)
            # On another connection, in the moment before the last script is sent.
            connection.connection.dbapi_connection.run_async(
                lambda _driver: canceller.execute(
                    "INSERT INTO alga_tenants.cancellations (workflow_id, run_id, cancelled_by, reason)"
                    " VALUES ($1, $2, $3, $4)",
                    operation.workflow_id,
                    operation.run_id,
                    ASKED.by,
                    ASKED.reason,
                )
            )

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
        await canceller.close()
    assert len(noted) == 1
    assert error.type == "cancel-requested"
    assert details_of(error) == FailureDetails(step=COMPLETE, cancel=ASKED)
    assert await everything(database) == before


async def test_a_start_that_was_revoked_is_stopped_and_another_of_the_same_id_is_not(
    provisioning: ProvisioningActivities, engine: AsyncEngine, tenant_request: TenantCreationInput
) -> None:
    first = str(uuid4())
    given = provision_input(tenant_request, origin=Origin(start_id=first))
    async with engine.begin() as connection:
        await revoke_start(connection, given.operation.workflow_id, first, ASKED)
        assert await find_operation(connection, given.operation.workflow_id) is None
    error = await error_of(provisioning.provision_tenant(given))
    assert error.type == "cancel-requested"
    await provisioning.provision_tenant(provision_input(tenant_request, origin=Origin(start_id=str(uuid4()))))
    async with engine.begin() as connection:
        await revoke_start(connection, given.operation.workflow_id, first, ASKED)
        record = await find_operation(connection, given.operation.workflow_id)
    assert record is not None
    assert record.snapshot.status is OperationStatus.COMPLETED


async def test_an_attempt_that_has_not_seen_a_change_of_parameters_writes_nothing(
    provisioning: ProvisioningActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await record(engine, tenant_request)
    operation = provision_input(tenant_request).operation
    change = ParameterChangeInput(operation=operation, changed=("licenseCount",), digest="a digest")
    await OperationActivities(engine, AUDIT, POLICY).accept_parameter_changes(change)
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("parameters-changed", False)
    assert details_of(error).parameters_version == 1
    assert await everything(database) == before
    await provisioning.provision_tenant(provision_input(tenant_request, parameters_version=1))


async def test_an_operation_that_was_closed_meanwhile_writes_nothing(
    provisioning: ProvisioningActivities,
    closing: OperationActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await closing.close_operation(closing_input(tenant_request))
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("operation-closed", True)
    assert details_of(error).step == VALIDATE
    assert await everything(database) == before


async def test_an_attempt_that_outlives_the_closing_of_its_operation_cannot_commit(
    provisioning: ProvisioningActivities,
    closing: OperationActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    """Both wait for one lock, and the closing gets it first."""
    await record(engine, tenant_request)
    operation = provision_input(tenant_request).operation
    async with engine.connect() as holder:
        await OperationRow(holder, operation).lock()
        closes = asyncio.create_task(close(closing, tenant_request))
        await wait_until(lambda: waiting(database, 1), timeout=20, every=0.005)
        attempt = asyncio.create_task(error_of(provisioning.provision_tenant(provision_input(tenant_request))))
        await wait_until(lambda: waiting(database, 2), timeout=20, every=0.005)
        await holder.rollback()
    assert (await closes).committed is None
    assert (await attempt).type == "operation-closed"
    assert await row_counts(database, str(tenant_request.tenant_id)) == {}


async def test_a_closing_waits_for_an_attempt_at_work_and_learns_what_that_committed(
    provisioning: ProvisioningActivities,
    closing: OperationActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await record(engine, tenant_request)
    async with paused_in(database, SET_UP_DATA) as pause:
        attempt = asyncio.create_task(provisioning.provision_tenant(provision_input(tenant_request)))
        await pause.until_reached()
        closes = asyncio.create_task(close(closing, tenant_request))
        await wait_until(lambda: waiting(database, 2), timeout=20, every=0.005)
        await pause.release()
        committed = await attempt
        assert (await closes).committed == committed
    row = await operation_row(database, provision_input(tenant_request).operation.workflow_id)
    assert row is not None
    assert row["status"] == "completed"
