"""An attempt does not commit parameters that were changed during it."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.operations.activities import OperationActivities
from activities.operations.rows import request_cancel
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import POLICY, closing_input, provision_input, request
from tests.support.audit import AUDIT
from workflows.operations.messages import Cancellation, ParameterChangeInput
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio


@pytest.fixture
def changes(engine: AsyncEngine) -> OperationActivities:
    return OperationActivities(engine, AUDIT, POLICY)


def change(given: TenantCreationInput, license_count: int, *, version: int = 0) -> ParameterChangeInput:
    operation = provision_input(given, parameters_version=version).operation
    shown = operation.snapshot.model_copy(update={"parameters": {"licenseCount": license_count}})
    return ParameterChangeInput(
        operation=operation.model_copy(update={"snapshot": shown}),
        changed=("licenseCount",),
        digest=str(license_count),
    )


async def refused(call: Any) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call
    return caught.value


@pytest.fixture
def ours() -> TenantCreationInput:
    return request(uuid4())


async def test_an_attempt_that_missed_a_change_writes_nothing_and_the_next_one_does(
    changes: OperationActivities,
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    ours: TenantCreationInput,
) -> None:
    for _ in range(2):
        await changes.accept_parameter_changes(change(ours, 12))
    error = await refused(provisioning.provision_tenant(provision_input(ours)))
    assert (error.type, error.non_retryable) == ("parameters-changed", False)
    assert error.details[0].parameters_version == 1
    count = "SELECT licensed_user_count FROM tenants WHERE tenant = $1"
    assert await database.fetchval(count, ours.tenant_id) is None
    changed = ours.model_copy(update={"license_count": 12})
    await provisioning.provision_tenant(provision_input(changed, parameters_version=1))
    assert await database.fetchval(count, ours.tenant_id) == 12


async def test_a_change_is_shown_in_the_operations_row(
    changes: OperationActivities, database: asyncpg.Connection, ours: TenantCreationInput
) -> None:
    await changes.accept_parameter_changes(change(ours, 12))
    row = await database.fetchrow(
        "SELECT parameters->>'licenseCount' AS shown, parameters_version FROM alga_tenants.operations"
        " WHERE tenant_id = $1",
        ours.tenant_id,
    )
    assert tuple(row) == ("12", 1)


async def test_a_change_after_the_commit_is_refused(
    changes: OperationActivities, provisioning: ProvisioningActivities, ours: TenantCreationInput
) -> None:
    await provisioning.provision_tenant(provision_input(ours))
    error = await refused(changes.accept_parameter_changes(change(ours, 12)))
    assert (error.type, error.non_retryable) == ("parameter-used", True)


async def test_a_change_whose_result_was_lost_is_replaced_by_the_next(
    changes: OperationActivities, ours: TenantCreationInput
) -> None:
    await changes.accept_parameter_changes(change(ours, 12))
    await changes.accept_parameter_changes(change(ours, 13))
    await changes.accept_parameter_changes(change(ours, 14, version=1))
    error = await refused(changes.accept_parameter_changes(change(ours, 15)))
    assert error.type == "parameters-changed"
    assert error.details[0].parameters_version == 2


async def test_a_cancelled_operation_accepts_no_change(
    changes: OperationActivities, engine: AsyncEngine, ours: TenantCreationInput
) -> None:
    operation = provision_input(ours).operation
    async with engine.begin() as connection:
        await request_cancel(connection, operation.workflow_id, operation.run_id, Cancellation())
    error = await refused(changes.accept_parameter_changes(change(ours, 12)))
    assert error.type == "cancel-requested"


async def test_an_ended_operation_accepts_no_change(
    changes: OperationActivities, closing: OperationActivities, ours: TenantCreationInput
) -> None:
    await closing.close_operation(closing_input(ours))
    error = await refused(changes.accept_parameter_changes(change(ours, 12)))
    assert error.type == "operation-closed"
