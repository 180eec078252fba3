"""No two operations make the same tenant, and no two tenants share an administrator's e-mail."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import provision_input, provisioning_on, request
from tests.activities.tenants.attempts import admin, details_of, error_of, everything
from tests.support.tenants.rows import row_counts
from tests.support.waiting import wait_until
from workflows.operations.messages import FailureDetails
from workflows.tenants.request import TenantCreationInput
from workflows.tenants.steps import (
    CREATE_TENANT,
    VALIDATE,
)

pytestmark = pytest.mark.anyio


async def test_an_email_that_is_taken_is_refused_in_any_case(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await provisioning.provision_tenant(provision_input(tenant_request))
    before = await everything(database)
    other = request(uuid4(), adminUser=admin(tenant_request.admin_user.email.upper()))
    error = await error_of(provisioning.provision_tenant(provision_input(other)))
    assert error.type == "duplicate-email"
    assert details_of(error) == FailureDetails(step=VALIDATE, field="adminUser.email")
    assert await everything(database) == before


async def test_a_tenant_that_exists_is_never_taken_over(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await provisioning.provision_tenant(provision_input(tenant_request))
    before = await everything(database)
    assert tenant_request.tenant_id is not None
    rival = request(tenant_request.tenant_id, adminUser=admin(f"{uuid4()}@rival.example"))
    error = await error_of(provisioning.provision_tenant(provision_input(rival, "rival")))
    assert error.type == "tenant-exists"
    assert details_of(error) == FailureDetails(step=VALIDATE, field="tenantId")
    assert await everything(database) == before


async def test_a_tenant_that_another_service_makes_meanwhile_is_refused_by_the_insert(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, database_url: str
) -> None:
    given = request(uuid4())
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(
        "INSERT INTO tenants (tenant, client_name, email, billing_source)"
        " VALUES ($1, 'Other', 'o@example.com', 'manual')",
        given.tenant_id,
    )
    attempt = asyncio.create_task(error_of(provisioning.provision_tenant(provision_input(given))))

    async def waits() -> bool:
        return bool(await database.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    await wait_until(waits, timeout=20, every=0.005)
    await transaction.commit()
    await other.close()
    error = await attempt
    assert error.type == "tenant-exists"
    assert details_of(error).step == CREATE_TENANT
    assert await row_counts(database, str(given.tenant_id)) == {"tenants": 1}


async def test_of_many_operations_at_once_for_one_tenant_id_one_wins(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    rivals = [
        provision_input(
            request(tenant_id, adminUser=admin(f"{uuid4()}@rival.example")), f"rival-{number}-{tenant_id}"
        )
        for number in range(12)
    ]
    outcomes = await asyncio.gather(
        *(provisioning_on(engine).provision_tenant(rival) for rival in rivals), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
    assert len(lost) == len(rivals) - 1
    assert {error.type for error in lost} <= {"operation-in-progress", "tenant-exists"}
    query = "SELECT count(*) FROM alga_tenants.operations WHERE tenant_id = $1"
    assert await database.fetchval(query, tenant_id) == 1
    assert (await row_counts(database, str(tenant_id)))["users"] == 1


async def test_of_many_operations_at_once_for_one_email_one_wins(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    email = f"{uuid4()}@rival.example"
    rivals = [provision_input(request(uuid4(), adminUser=admin(email))) for _ in range(12)]
    outcomes = await asyncio.gather(
        *(provisioning_on(engine).provision_tenant(rival) for rival in rivals), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
    assert [error.type for error in lost] == ["duplicate-email"] * (len(rivals) - 1)
    assert await database.fetchval("SELECT count(*) FROM users WHERE email = $1", email) == 1
