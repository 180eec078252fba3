"""All rows of a tenant are written by one transaction, or none of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.operations.closing import ClosingActivities
from activities.operations.parameter_changes import ParameterChangeActivities
from activities.operations.records import find_operation
from activities.operations.rows import insert_operation, lock_operation, request_cancel, revoke_start
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import closing_input, provision_input, provisioning_on, request
from tests.support.audit import AUDIT
from tests.support.rows import fingerprints, row_counts
from tests.support.waiting import wait_until
from workflows.operations.messages import (
    CancelRequest,
    Closure,
    FailureDetails,
    OperationStatus,
    Origin,
    ParameterChangeInput,
    PasswordInput,
    StepStatus,
    TenantCreationInput,
)
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    COMPLETE,
    CREATE_ADMIN_USER,
    CREATE_TENANT,
    SEND_WELCOME_EMAIL,
    SET_UP_DATA,
    TRACK_CUSTOMER,
    VALIDATE,
)

pytestmark = pytest.mark.anyio

# A table that each part of the transaction writes, the last one's being our own.
WRITTEN = {
    CREATE_TENANT: "public.tenants",
    APPLY_BLUEPRINT: "public.roles",
    CREATE_ADMIN_USER: "public.users",
    SET_UP_DATA: "public.tenant_settings",
    COMPLETE: "alga_tenants.operations",
}
PARTS = list(WRITTEN)
ASKED = CancelRequest(reason="a change of mind", cancelled_by="ada")
HASH = "0123456789abcdef:fedcba9876543210"


async def error_of(call: Awaitable[Any]) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call
    return caught.value


def details_of(error: ApplicationError) -> FailureDetails:
    [details] = error.details
    assert isinstance(details, FailureDetails)
    return details


async def operation_row(database: asyncpg.Connection, workflow_id: str) -> asyncpg.Record | None:
    return await database.fetchrow("SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)


async def everything(database: asyncpg.Connection) -> tuple[Any, ...]:
    """Alga's rows and ours."""
    ours = [
        await database.fetchval(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM alga_tenants.{table} t")  # noqa: S608 - names of ours
        for table in ("operations", "audit_events", "audit_head")
    ]
    return (await fingerprints(database), *ours)


@asynccontextmanager
async def obstacle(database: asyncpg.Connection, table: str, do: str) -> AsyncIterator[None]:
    """A trigger that does something before each row that is written to the table."""
    when = "UPDATE" if table.startswith("alga_tenants.") else "INSERT"
    await database.execute(
        f"CREATE FUNCTION public.in_the_way() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {do}; RETURN NEW; END $$;"
        f" CREATE TRIGGER in_the_way BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION public.in_the_way()"
    )
    try:
        yield
    finally:
        await database.execute(f"DROP TRIGGER in_the_way ON {table}; DROP FUNCTION public.in_the_way()")


class Pause:
    """Holds a provisioning inside a part of its transaction, by a lock that a trigger waits for."""

    KEY = 4711
    WAIT = f"PERFORM pg_advisory_xact_lock({KEY})"

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database

    async def until_reached(self) -> None:
        """Return once a transaction waits."""

        async def waits() -> bool:
            query = (
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND objid = $1 AND datname = current_database())"
            )
            return bool(await self._database.fetchval(query, self.KEY))

        await wait_until(waits, timeout=20, every=0.005)

    async def release(self) -> None:
        await self._database.execute("SELECT pg_advisory_unlock($1)", self.KEY)


@asynccontextmanager
async def paused_in(database: asyncpg.Connection, part: str) -> AsyncIterator[Pause]:
    async with obstacle(database, WRITTEN[part], Pause.WAIT):
        await database.execute("SELECT pg_advisory_lock($1)", Pause.KEY)
        pause = Pause(database)
        try:
            yield pause
        finally:
            await database.execute("SELECT pg_advisory_unlock_all()")


async def record(engine: AsyncEngine, given: TenantCreationInput, **changes: Any) -> None:
    """Write the operation's row as the gateway does."""
    async with engine.begin() as connection:
        assert await insert_operation(connection, provision_input(given, **changes).operation)


async def close(closing: ClosingActivities, given: TenantCreationInput) -> Closure:
    return await closing.close_operation(closing_input(given))


async def cancel(engine: AsyncEngine, given: TenantCreationInput) -> None:
    operation = provision_input(given).operation
    async with engine.begin() as connection:
        await request_cancel(connection, operation.workflow_id, operation.run_id, ASKED)


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
async def test_a_request_that_makes_no_sense_fails_in_validate(
    provisioning: ProvisioningActivities,
    database: asyncpg.Connection,
    changes: dict[str, Any],
    code: str,
    field: str,
) -> None:
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(request(uuid4(), **changes))))
    assert (error.type, error.non_retryable) == (code, True)
    assert details_of(error) == FailureDetails(step=VALIDATE, field=field)
    assert await everything(database) == before


async def test_an_email_that_is_taken_is_refused_in_any_case(
    provisioning: ProvisioningActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    await provisioning.provision_tenant(provision_input(tenant_request))
    before = await everything(database)
    other = request(uuid4(), adminUser=_admin(tenant_request.admin_user.email.upper()))
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
    rival = request(tenant_request.tenant_id, adminUser=_admin(f"{uuid4()}@rival.example"))
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
                    ASKED.cancelled_by,
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


async def test_of_many_operations_at_once_for_one_tenant_id_one_wins(
    engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    rivals = [
        provision_input(
            request(tenant_id, adminUser=_admin(f"{uuid4()}@rival.example")), f"rival-{number}-{tenant_id}"
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
    rivals = [provision_input(request(uuid4(), adminUser=_admin(email))) for _ in range(12)]
    outcomes = await asyncio.gather(
        *(provisioning_on(engine).provision_tenant(rival) for rival in rivals), return_exceptions=True
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, ApplicationError)]
    assert [error.type for error in lost] == ["duplicate-email"] * (len(rivals) - 1)
    assert await database.fetchval("SELECT count(*) FROM users WHERE email = $1", email) == 1


async def test_an_attempt_that_has_not_seen_a_change_of_parameters_writes_nothing(
    provisioning: ProvisioningActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await record(engine, tenant_request)
    operation = provision_input(tenant_request).operation
    change = ParameterChangeInput(operation=operation, changed=("licenseCount",), digest="a digest")
    await ParameterChangeActivities(engine, AUDIT).accept_parameter_changes(change)
    before = await everything(database)
    error = await error_of(provisioning.provision_tenant(provision_input(tenant_request)))
    assert (error.type, error.non_retryable) == ("parameters-changed", False)
    assert details_of(error).parameters_version == 1
    assert await everything(database) == before
    await provisioning.provision_tenant(provision_input(tenant_request, parameters_version=1))


async def test_an_operation_that_was_closed_meanwhile_writes_nothing(
    provisioning: ProvisioningActivities,
    closing: ClosingActivities,
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
    closing: ClosingActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    """The closing and the attempt wait for one lock, in which the closing comes first."""
    await record(engine, tenant_request)
    operation = provision_input(tenant_request).operation
    async with engine.connect() as holder:
        await lock_operation(holder, operation)
        closes = asyncio.create_task(close(closing, tenant_request))
        await wait_until(lambda: _waiting(database, 1), timeout=20, every=0.005)
        attempt = asyncio.create_task(error_of(provisioning.provision_tenant(provision_input(tenant_request))))
        await wait_until(lambda: _waiting(database, 2), timeout=20, every=0.005)
        await holder.rollback()
    assert (await closes).committed is None
    assert (await attempt).type == "operation-closed"
    assert await row_counts(database, str(tenant_request.tenant_id)) == {}


async def test_a_closing_waits_for_an_attempt_at_work_and_learns_what_that_committed(
    provisioning: ProvisioningActivities,
    closing: ClosingActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    await record(engine, tenant_request)
    async with paused_in(database, SET_UP_DATA) as pause:
        attempt = asyncio.create_task(provisioning.provision_tenant(provision_input(tenant_request)))
        await pause.until_reached()
        closes = asyncio.create_task(close(closing, tenant_request))
        await wait_until(lambda: _waiting(database, 2), timeout=20, every=0.005)
        await pause.release()
        committed = await attempt
        assert (await closes).committed == committed
    row = await operation_row(database, provision_input(tenant_request).operation.workflow_id)
    assert row is not None
    assert row["status"] == "completed"


async def test_no_statement_holds_a_password_hash_in_its_text(
    provisioning: ProvisioningActivities, statements: list[tuple[str, Any]]
) -> None:
    given = request(uuid4())
    admin = given.admin_user.model_copy(update={"password_hash": HASH})
    await provisioning.provision_tenant(provision_input(given.model_copy(update={"admin_user": admin})))
    spelled = [HASH, HASH.encode().hex(), HASH.encode().hex().upper()]
    parts = [spelling.split(":")[0] for spelling in spelled] + [each.encode().hex() for each in HASH.split(":")]
    assert [text for text, _ in statements if any(word in text for word in (*spelled, *parts))] == []
    # It was sent, in a parameter, or else this would say nothing.
    assert any(HASH in str(parameters) for _, parameters in statements)
    assert len(statements) > 20


async def test_an_error_tells_no_values(
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


async def test_a_password_is_hashed_in_algas_way(provisioning: ProvisioningActivities) -> None:
    first = await provisioning.hash_password(PasswordInput(password="correct horse"))
    unknown = await provisioning.hash_password(PasswordInput())
    assert first.password_hash.count(":") == unknown.password_hash.count(":") == 1
    assert first.password_hash not in repr(first)


async def _waiting(database: asyncpg.Connection, number: int) -> bool:
    """Whether that many sessions of the database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(await database.fetchval(query)) >= number


def _admin(email: str) -> dict[str, str]:
    return {"firstName": "Grace", "lastName": "Hopper", "passwordHash": "salt:key", "email": email}
