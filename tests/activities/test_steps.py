from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.operations import ANY_RUN, record_operation, request_cancel, take_back
from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from activities.transactions import Transactions
from tests.activities.conftest import request, rollback_input, step_input
from tests.support.audit import AUDIT
from tests.support.rows import fingerprints, row_counts
from workflows.messages import CancelRequest, PasswordInput, TenantCreationInput
from workflows.steps import Step

pytestmark = pytest.mark.anyio


def methods(creation: TenantCreationActivities) -> dict[Step, Any]:
    return {
        Step.INITIALIZING: creation.validate_tenant_request,
        Step.CREATING_TENANT: creation.create_tenant,
        Step.RUNNING_ONBOARDING_SEEDS: creation.apply_blueprint,
        Step.CREATING_ADMIN_USER: creation.create_admin_user,
        Step.SETTING_UP_DATA: creation.set_up_initial_data,
        Step.COMPLETING: creation.complete_tenant,
    }


async def run(
    creation: TenantCreationActivities,
    given: TenantCreationInput,
    *,
    until: Step = Step.COMPLETING,
    workflow_id: str | None = None,
) -> None:
    for step, method in methods(creation).items():
        await method(step_input(step, given, workflow_id))
        if step is until:
            return


async def refused(call: Any) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call
    assert caught.value.non_retryable
    return caught.value


async def test_each_activity_run_twice_leaves_the_rows_as_they_were_after_once(
    creation: TenantCreationActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    for step, method in methods(creation).items():
        first = await method(step_input(step, tenant_request))
        rows = await fingerprints(database)
        second = await method(step_input(step, tenant_request))
        assert await fingerprints(database) == rows, step
        assert second == first, step


async def test_a_rollback_leaves_nothing_and_may_be_repeated(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    before = await fingerprints(database)
    await run(creation, tenant_request, until=Step.SETTING_UP_DATA)
    rows = await row_counts(database, str(tenant_request.tenant_id))
    environment = ActivityEnvironment()
    result = await environment.run(rollback.roll_back_tenant, rollback_input(tenant_request))
    assert result.deleted_rows == sum(rows.values())
    assert await fingerprints(database) == before
    assert (await environment.run(rollback.roll_back_tenant, rollback_input(tenant_request))).deleted_rows == 0


async def test_a_rollback_of_nothing_closes_the_operation(
    rollback: RollbackActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(tenant_request))
    status = await database.fetchval(
        "SELECT status FROM alga_tenants.operations WHERE tenant_id = $1", tenant_request.tenant_id
    )
    assert status == "failed"


async def test_a_completed_tenant_is_never_rolled_back(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await run(creation, tenant_request)
    before = await fingerprints(database)
    result = await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(tenant_request))
    assert result.completed is not None
    assert (result.completed.tenant_id, result.deleted_rows) == (tenant_request.tenant_id, 0)
    assert await fingerprints(database) == before


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.INITIALIZING])
async def test_a_step_that_comes_after_the_rollback_writes_nothing(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    step: Step,
) -> None:
    await run(creation, tenant_request, until=Step.CREATING_TENANT)
    await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(tenant_request))
    error = await refused(methods(creation)[step](step_input(step, tenant_request)))
    assert error.type == "operation-closed"
    assert await row_counts(database, str(tenant_request.tenant_id)) == {}


@pytest.mark.parametrize("step", Step)
async def test_a_step_that_comes_after_a_cancel_writes_nothing_and_says_who_asked(
    creation: TenantCreationActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    step: Step,
) -> None:
    earlier = list(Step)[: list(Step).index(step)]
    for done in earlier:
        await methods(creation)[done](step_input(done, tenant_request))
    context = step_input(step, tenant_request).operation
    asked = CancelRequest(reason="a change of mind", cancelled_by="ada")
    async with engine.begin() as connection:
        await request_cancel(connection, context.workflow_id, context.run_id, asked)
        await request_cancel(connection, context.workflow_id, context.run_id, CancelRequest(reason="again"))
    rows = await fingerprints(database)
    error = await refused(methods(creation)[step](step_input(step, tenant_request)))
    assert (error.type, error.details) == ("cancel-requested", (None, asked))
    assert await fingerprints(database) == rows


@pytest.mark.parametrize(
    ("step", "before"), [(Step.CREATING_TENANT, Step.INITIALIZING), (Step.COMPLETING, Step.SETTING_UP_DATA)]
)
async def test_a_start_that_was_taken_back_is_stopped_whatever_its_run_is_called(
    creation: TenantCreationActivities,
    engine: AsyncEngine,
    tenant_request: TenantCreationInput,
    step: Step,
    before: Step,
) -> None:
    await run(creation, tenant_request, until=before)
    nobody = CancelRequest(reason="taken back", cancelled_by="gateway")
    async with engine.begin() as connection:
        await request_cancel(connection, f"tenant-creation-{tenant_request.tenant_id}", ANY_RUN, nobody)
    error = await refused(methods(creation)[step](step_input(step, tenant_request)))
    assert (error.type, error.details) == ("cancel-requested", (None, nobody))


async def test_a_start_is_not_taken_back_once_its_tenant_is_complete(
    creation: TenantCreationActivities, engine: AsyncEngine, tenant_request: TenantCreationInput
) -> None:
    workflow_id = f"tenant-creation-{tenant_request.tenant_id}"
    await run(creation, tenant_request)
    async with engine.begin() as connection:
        assert not await take_back(connection, workflow_id, CancelRequest())
        assert await take_back(connection, "tenant-creation-never-started", CancelRequest())


async def test_a_row_without_a_tenant_id_gets_it_with_the_first_step(
    creation: TenantCreationActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    given = step_input(Step.INITIALIZING, tenant_request)
    workflow_id = given.operation.workflow_id
    async with Transactions(engine).begin() as opened:
        await record_operation(opened, given.operation, tenant_request, AUDIT)
    await database.execute("UPDATE alga_tenants.operations SET tenant_id = NULL WHERE workflow_id = $1", workflow_id)
    await creation.validate_tenant_request(given)
    query = "SELECT tenant_id FROM alga_tenants.operations WHERE workflow_id = $1"
    assert await database.fetchval(query, workflow_id) == tenant_request.tenant_id


async def test_a_billing_plan_that_was_changed_to_an_unknown_one_is_not_skipped(
    creation: TenantCreationActivities, tenant_request: TenantCreationInput
) -> None:
    await run(creation, tenant_request, until=Step.CREATING_ADMIN_USER)
    changed = tenant_request.model_copy(update={"billing_plan": "Nothing"})
    error = await refused(creation.set_up_initial_data(step_input(Step.SETTING_UP_DATA, changed)))
    assert (error.type, error.details) == ("unknown-billing-plan", ("billingPlan",))


async def test_an_operation_never_takes_over_or_deletes_another_ones_tenant(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await run(creation, tenant_request, until=Step.CREATING_TENANT)
    before = await fingerprints(database)
    assert tenant_request.tenant_id is not None
    rival = request(tenant_request.tenant_id, adminUser={**_admin(), "email": f"{uuid4()}@rival.example"})
    error = await refused(creation.validate_tenant_request(step_input(Step.INITIALIZING, rival, "rival")))
    assert (error.type, error.details) == ("tenant-exists", ("tenantId",))
    await ActivityEnvironment().run(rollback.roll_back_tenant, rollback_input(rival, "rival"))
    assert await fingerprints(database) == before


async def test_of_two_operations_that_race_for_one_tenant_the_later_insert_loses(
    creation: TenantCreationActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    assert tenant_request.tenant_id is not None
    rival = request(tenant_request.tenant_id, adminUser={**_admin(), "email": f"{uuid4()}@rival.example"})
    await creation.validate_tenant_request(step_input(Step.INITIALIZING, tenant_request))
    await creation.validate_tenant_request(step_input(Step.INITIALIZING, rival, "second"))
    await creation.create_tenant(step_input(Step.CREATING_TENANT, tenant_request))
    error = await refused(creation.create_tenant(step_input(Step.CREATING_TENANT, rival, "second")))
    assert error.type == "tenant-exists"
    owners = await database.fetch(
        "SELECT workflow_id FROM alga_tenants.operations WHERE tenant_id = $1 AND owns_tenant", rival.tenant_id
    )
    assert [owner[0] for owner in owners] == [f"tenant-creation-{rival.tenant_id}"]


async def test_an_email_that_is_taken_is_refused_in_any_case(
    creation: TenantCreationActivities, tenant_request: TenantCreationInput
) -> None:
    await run(creation, tenant_request, until=Step.CREATING_ADMIN_USER)
    email = tenant_request.admin_user.email.upper()
    other = request(uuid4(), adminUser={**_admin(), "email": email})
    error = await refused(creation.validate_tenant_request(step_input(Step.INITIALIZING, other)))
    assert (error.type, error.details) == ("duplicate-email", ("adminUser.email",))


async def test_an_error_tells_no_values(
    creation: TenantCreationActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await creation.validate_tenant_request(step_input(Step.INITIALIZING, tenant_request))
    await database.execute("ALTER TABLE tenants ADD CONSTRAINT never CHECK (client_name <> 'Acme') NOT VALID")
    try:
        error = await refused(creation.create_tenant(step_input(Step.CREATING_TENANT, tenant_request)))
    finally:
        await database.execute("ALTER TABLE tenants DROP CONSTRAINT never")
    assert error.type == "constraint-violation"
    assert "tenants" in error.message
    assert "never" in error.message
    assert "Acme" not in str(error)
    assert error.__cause__ is None


async def test_a_password_is_hashed_in_algas_way(creation: TenantCreationActivities) -> None:
    first = await creation.hash_password(PasswordInput(password="correct horse"))
    unknown = await creation.hash_password(PasswordInput())
    assert first.password_hash.count(":") == unknown.password_hash.count(":") == 1
    assert first.password_hash not in repr(first)


def _admin() -> dict[str, str]:
    return {"firstName": "Grace", "lastName": "Hopper", "passwordHash": "salt:key"}
