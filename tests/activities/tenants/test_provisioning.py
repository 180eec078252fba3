"""All rows of a tenant are written by one transaction, or none of them."""

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import ON_ONE_SHAPE, provision_input, provisioning_on, request
from tests.activities.tenants.attempts import (
    PARTS,
    WRITTEN,
    details_of,
    error_of,
    everything,
    obstacle,
    operation_row,
    paused_in,
)
from tests.support.tenants.rows import row_counts
from workflows.operations.messages import FailureDetails
from workflows.operations.statuses import StepStatus
from workflows.tenants.request import PasswordInput, TenantCreationInput
from workflows.tenants.steps import (
    COMPLETE,
    SEND_WELCOME_EMAIL,
    TRACK_CUSTOMER,
    VALIDATE,
)

pytestmark = pytest.mark.anyio

HASH = "0123456789abcdef:fedcba9876543210"


async def test_a_second_run_writes_nothing_and_returns_the_same(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    given = provision_input(tenant_request)
    first = await provisioning.provision_tenant(given)
    rows = await everything(database)
    second = await provisioning.provision_tenant(given)
    assert second == first
    assert await everything(database) == rows
    assert first.result["tenantId"] == str(tenant_request.tenant_id)
    assert len(await row_counts(database, str(tenant_request.tenant_id))) > 20


async def test_the_row_is_complete_with_the_commit_if_no_step_follows(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    given = provision_input(tenant_request)
    committed = await provisioning.provision_tenant(given)
    row = await operation_row(database, given.operation.workflow_id)
    assert row is not None
    assert (row["status"], row["step"], row["progress"]) == ("completed", COMPLETE, 100)
    assert row["committed_at"] == row["finished_at"] == committed.committed_at
    statuses = {step.name: step.status for step in committed.steps}
    skipped = {TRACK_CUSTOMER: StepStatus.SKIPPED, SEND_WELCOME_EMAIL: StepStatus.SKIPPED}
    assert statuses == {**dict.fromkeys([VALIDATE, *PARTS], StepStatus.COMPLETED), **skipped}


@ON_ONE_SHAPE
async def test_a_step_that_the_client_does_not_want_is_skipped(engine: AsyncEngine) -> None:
    provisioning = provisioning_on(engine, TRACK_CUSTOMER, SEND_WELCOME_EMAIL)
    for flag, skipped in (("skipCustomerTracking", TRACK_CUSTOMER), ("skipWelcomeEmail", SEND_WELCOME_EMAIL)):
        committed = await provisioning.provision_tenant(provision_input(request(uuid4(), **{flag: True})))
        statuses = {step.name: step.status for step in committed.steps}
        wanted = {TRACK_CUSTOMER, SEND_WELCOME_EMAIL} - {skipped}
        assert statuses[skipped] is StepStatus.SKIPPED
        assert {statuses[step] for step in wanted} == {StepStatus.PENDING}


async def test_the_row_stays_open_after_the_commit_if_a_step_follows(
    engine: AsyncEngine, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    given = provision_input(tenant_request)
    committed = await provisioning_on(engine, SEND_WELCOME_EMAIL).provision_tenant(given)
    row = await operation_row(database, given.operation.workflow_id)
    assert row is not None
    assert (row["status"], row["progress"], row["finished_at"]) == ("running", 90, None)
    assert row["committed_at"] == committed.committed_at
    pending = [step.name for step in committed.steps if step.status is StepStatus.PENDING]
    assert pending == [SEND_WELCOME_EMAIL, COMPLETE]


@ON_ONE_SHAPE
@pytest.mark.parametrize("part", PARTS)
async def test_a_failure_in_any_part_writes_nothing_and_names_the_step(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    part: str,
) -> None:
    before = await everything(database)
    async with obstacle(database, WRITTEN[part], "RAISE EXCEPTION 'no Acme' USING ERRCODE = 'check_violation'"):
        error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("constraint-violation", True)
    assert details_of(error).step == part
    assert await everything(database) == before
    # What stood in the way is gone, and so nothing of the attempt is left that a later one could meet.
    await provisioning.provision_tenant(provision_input(tenant_request))


@ON_ONE_SHAPE
@pytest.mark.parametrize("part", PARTS)
async def test_a_connection_that_is_lost_in_any_part_writes_nothing_and_passes(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    part: str,
) -> None:
    before = await everything(database)
    async with obstacle(database, WRITTEN[part], "PERFORM pg_terminate_backend(pg_backend_pid())"):
        error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("database-unavailable", False)
    assert details_of(error).step == part
    assert await everything(database) == before
    await provisioning.provision_tenant(provision_input(tenant_request))


@ON_ONE_SHAPE
@pytest.mark.parametrize("part", PARTS)
async def test_an_attempt_that_is_given_up_in_any_part_writes_nothing(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    part: str,
) -> None:
    before = await everything(database)
    async with paused_in(database, part) as pause:
        attempt = asyncio.create_task(provisioning.provision_tenant(provision_input(tenant_request)))
        await pause.until_reached()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        await pause.release()
    assert await everything(database) == before
    await provisioning.provision_tenant(provision_input(tenant_request))


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"tenantName": ""}, "invalid-request", "tenantName"),
        ({"billingPlan": "Nothing"}, "unknown-billing-plan", "billingPlan"),
    ],
)
@ON_ONE_SHAPE
async def test_a_request_that_makes_no_sense_fails_in_validate(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    changes: dict[str, Any],
    code: str,
    field: str,
) -> None:
    before = await everything(database)
    given = request(uuid4(), origin={"requestedBy": "key:example"}, **changes)
    error = await error_of(provisioning.provision_tenant(provision_input(given)))
    assert (error.type, error.non_retryable) == (code, True)
    assert details_of(error) == FailureDetails(step=VALIDATE, field=field)
    assert await everything(database) == before


async def test_no_statement_holds_a_password_hash_in_its_text(
    provisioning: ProvisioningActivities, statements: list[tuple[str, Any]]
) -> None:
    given = request(uuid4())
    admin = given.admin_user.model_copy(update={"password_hash": HASH})
    await provisioning.provision_tenant(provision_input(given.model_copy(update={"admin_user": admin})))
    spelled = [HASH.encode().hex(), HASH.encode().hex().upper()]
    parts = [spelling.split(":")[0] for spelling in spelled] + [each.encode().hex() for each in HASH.split(":")]
    assert [text for text, _ in statements if any(word in text for word in (*spelled, *parts))] == []
    # It was sent, in a parameter, or else this would say nothing.
    assert any(HASH in str(parameters) for _, parameters in statements)
    assert len(statements) > 20


@ON_ONE_SHAPE
async def test_an_error_shows_no_values(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await database.execute("ALTER TABLE tenants ADD CONSTRAINT never CHECK (client_name <> 'Acme') NOT VALID")
    try:
        error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    finally:
        await database.execute("ALTER TABLE tenants DROP CONSTRAINT never")
    assert error.type == "constraint-violation"
    assert "tenants" in error.message
    assert "never" in error.message
    assert "Acme" not in str(error)
    assert error.__cause__ is None


@ON_ONE_SHAPE
async def test_a_password_is_hashed_in_algas_way(engine: AsyncEngine) -> None:
    provisioning = provisioning_on(engine, mails_have_links=True)
    first = await provisioning.hash_password(PasswordInput(password="correct horse"))
    unknown = await provisioning.hash_password(PasswordInput())
    assert first.password_hash.count(":") == unknown.password_hash.count(":") == 1
    assert first.password_hash not in repr(first)


@pytest.mark.parametrize(
    ("mails_have_links", "skips", "said"), [(False, False, "ALGA_SECRET_KEY"), (True, True, "skipWelcomeEmail")]
)
@ON_ONE_SHAPE
async def test_a_missing_password_is_refused_if_its_owner_gets_no_link(
    engine: AsyncEngine, mails_have_links: bool, skips: bool, said: str
) -> None:
    provisioning = provisioning_on(engine, mails_have_links=mails_have_links)
    error = await error_of(provisioning.hash_password(PasswordInput(skip_welcome_email=skips)))
    assert (error.type, error.non_retryable) == ("invalid-request", True)
    assert details_of(error).field == "adminUser.password"
    assert said in error.message
