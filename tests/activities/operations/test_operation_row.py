"""Attempts, cancels, closings and reconciliation in any order leave a row in a valid state."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.database.engines import create_engine
from activities.errors import CancelRequestedError, FinalError
from activities.operations import rows
from activities.operations.activities import OperationActivities
from activities.operations.queries import OperationRecord, find_operation
from activities.operations.reconciliation import close_ended_outside, mirror
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import (
    ON_ONE_SHAPE,
    closing_input,
    context,
    provision_input,
    provisioning_on,
    request,
    sqlalchemy_url,
)
from workflows.operations.messages import Cancellation, Closure, Committed, OperationInput, StepProgress
from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.tenants.request import TenantCreationInput
from workflows.tenants.steps import COMPLETE, SEND_WELCOME_EMAIL, TENANT_CREATION

# These tests are about our own table.
pytestmark = ON_ONE_SHAPE

EXAMPLES = 150
S = OperationStatus

CALLS = st.sampled_from(
    ["commit", "commit and go on", "complete", "close", "cancel", "mirror", "ended outside", "change"]
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def own_engine(runner: asyncio.Runner, database_url: str) -> Iterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=1, statement_timeout=8)
    yield engine
    runner.run(engine.dispose())


@given(st.lists(CALLS, max_size=10))
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_makes_only_valid_transitions(
    runner: asyncio.Runner, own_engine: AsyncEngine, calls: list[str]
) -> None:
    runner.run(play(own_engine, calls))


async def play(engine: AsyncEngine, calls: list[str]) -> None:
    """Make the calls one after the other, each in a transaction of its own."""
    row = Row(engine)
    before = await row.record()
    for name in calls:
        was_cancelled = row.is_cancelled
        succeeded = await row.call(name, before)
        after = await row.record()
        check(name, before, after, succeeded=succeeded, was_cancelled=was_cancelled)
        before = after
    event(f"left {before.snapshot.status}")


def check(
    name: str, before: OperationRecord, after: OperationRecord, *, succeeded: bool, was_cancelled: bool
) -> None:
    """Check one call."""
    then, now = before.snapshot, after.snapshot
    assert (now.finished_at is None) == now.status.is_open
    if not then.status.is_open or not succeeded:
        assert after == before
    if then.committed_at is not None:
        assert (now.committed_at, now.result) == (then.committed_at, then.result)
        assert now.status not in {S.FAILED, S.CANCELLED}
    elif now.committed_at is not None:
        assert name.startswith("commit")
        assert not was_cancelled
    if now.status in {S.FAILED, S.CANCELLED} and then.status.is_open:
        assert name in {"close", "ended outside"}
    if now.status is S.COMPLETED:
        assert now.committed_at is not None


class Row:
    """An operation's row, and the calls that change it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.is_cancelled = False
        self._engine = engine
        self._request = request(uuid4())
        self._context = provision_input(self._request).operation

    async def record(self) -> OperationRecord:
        async with self._engine.begin() as connection:
            row = rows.OperationRow(connection, self._context)
            await row.ensure()
            found = await row.load()
        assert found is not None
        return found

    async def call(self, name: str, record: OperationRecord) -> bool:
        """Make the call on a row that holds this record, and return whether it succeeded."""
        with suppress(FinalError, CancelRequestedError, ApplicationError):
            async with self._engine.begin() as connection:
                await self._do(connection, record, name)
            return True
        return False

    async def _do(self, connection: AsyncConnection, record: OperationRecord, name: str) -> None:  # noqa: C901 - one case a call
        row = rows.OperationRow(connection, self._context)
        locked = await row.lock()
        assert locked is not None
        match name:
            case "commit" | "commit and go on":
                if locked.committed is None:
                    await row.check_open(locked)
                    done = committed(is_complete=name == "commit")
                    statement = row.commit_statement(done)
                    await connection.execute(statement.clause, dict(statement.values))
            case "complete":
                # The workflow does so after the steps that follow a commit only; after the end it changes nothing.
                if locked.committed is not None or locked.has_ended:
                    await row.close(record.snapshot.completed(datetime.now(UTC)))
            case "close":
                if locked.committed is None:
                    await row.close(closing_input(self._request).operation.snapshot)
            case "cancel":
                cancel = Cancellation(reason="a change of mind")
                await rows.request_cancel(connection, self._context.workflow_id, self._context.run_id, cancel)
                self.is_cancelled = True
            case "mirror":
                waiting = record.snapshot.model_copy(update={"status": S.NEEDS_ATTENTION})
                await mirror(connection, record, waiting)
            case "change":
                await row.change_parameters()
            case "ended outside":
                await close_ended_outside(row, "by the test")


def committed(*, is_complete: bool) -> Committed:
    """Return the result of a transaction, with or without a step that follows."""
    last = StepStatus.COMPLETED if is_complete else StepStatus.PENDING
    following = StepStatus.SKIPPED if is_complete else StepStatus.PENDING
    steps = tuple(
        StepProgress(
            name=step.name,
            status=last if step.name == COMPLETE else following if step.activity else StepStatus.COMPLETED,
        )
        for step in TENANT_CREATION.steps
    )
    return Committed(committed_at=datetime.now(UTC), steps=steps, result={"tenantId": str(uuid4())})


@pytest.mark.anyio
async def test_a_cancel_between_the_lock_and_the_commit_makes_the_commit_fail(
    engine: AsyncEngine,
) -> None:
    operation = context(uuid4())
    async with engine.begin() as connection:
        await rows.OperationRow(connection, operation).ensure()
    async with engine.connect() as connection:
        row = rows.OperationRow(connection, operation)
        await row.lock()
        async with engine.begin() as other:
            assert await rows.request_cancel(other, operation.workflow_id, operation.run_id, Cancellation())
        statement = row.commit_statement(committed(is_complete=True))
        with pytest.raises(Exception, match='null value in column "status"'):
            await connection.execute(statement.clause, dict(statement.values))


@pytest.mark.anyio
async def test_the_first_cancel_counts(engine: AsyncEngine) -> None:
    operation = context(uuid4())
    first, second = Cancellation(reason="first"), Cancellation(reason="second")
    async with engine.begin() as connection:
        assert await rows.request_cancel(connection, operation.workflow_id, operation.run_id, first)
        assert not await rows.request_cancel(connection, operation.workflow_id, operation.run_id, second)
        assert await rows.OperationRow(connection, operation).find_cancellation() == first


@pytest.mark.anyio
async def test_a_tenant_has_one_open_operation_beside_its_exports(engine: AsyncEngine) -> None:
    tenant_id = uuid4()
    export = context(tenant_id, f"tenant-export-{tenant_id}")
    export = export.model_copy(update={"snapshot": export.snapshot.model_copy(update={"kind": "tenant_export"})})
    async with engine.begin() as connection:
        assert await rows.OperationRow(connection, context(tenant_id)).ensure()
        assert not await rows.OperationRow(connection, context(tenant_id)).ensure()
        with pytest.raises(FinalError, match="another operation of this tenant has not ended") as caught:
            await rows.OperationRow(connection, context(tenant_id, "second")).ensure()
        assert (caught.value.code, caught.value.field) == ("operation-in-progress", "tenantId")
        assert await rows.OperationRow(connection, export).ensure()


@pytest.mark.anyio
async def test_the_row_of_a_refused_second_operation_can_be_closed(
    provisioning: ProvisioningActivities,
    closing: OperationActivities,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
) -> None:
    first = provision_input(tenant_request)
    async with engine.begin() as connection:
        await rows.OperationRow(connection, first.operation).ensure()
    workflow_id = f"second-{tenant_request.tenant_id}"
    with pytest.raises(ApplicationError) as caught:
        await provisioning.provision_tenant(provision_input(tenant_request, workflow_id))
    assert caught.value.type == "operation-in-progress"
    for _ in range(2):
        assert (await closing.close_operation(closing_input(tenant_request, workflow_id))).committed is None
    statuses = await database.fetch(
        "SELECT status FROM alga_tenants.operations WHERE tenant_id = $1 ORDER BY status", tenant_request.tenant_id
    )
    assert [row["status"] for row in statuses] == ["failed", "queued"]
    # The first one is not in the way of itself.
    await provisioning.provision_tenant(first)


@pytest.mark.anyio
async def test_a_second_closing_returns_the_result_of_the_first(
    closing: OperationActivities, database: asyncpg.Connection, tenant_request: TenantCreationInput
) -> None:
    assert await closing.close_operation(closing_input(tenant_request)) == Closure()
    again = await closing.close_operation(closing_input(tenant_request, status=OperationStatus.CANCELLED))
    assert again.ended is not None
    assert (again.ended.status, again.ended.error is not None) == (OperationStatus.FAILED, True)
    row = await database.fetchrow(
        "SELECT status, finished_at FROM alga_tenants.operations WHERE tenant_id = $1", tenant_request.tenant_id
    )
    assert tuple(row) == ("failed", again.ended.finished_at)


@pytest.mark.anyio
async def test_the_tenant_of_a_closed_operation_is_free_again(
    provisioning: ProvisioningActivities, closing: OperationActivities, tenant_request: TenantCreationInput
) -> None:
    await closing.close_operation(closing_input(tenant_request))
    again = provision_input(tenant_request, run_id="another-run")
    committed_again = await provisioning.provision_tenant(again)
    assert committed_again.result["tenantId"] == str(tenant_request.tenant_id)


@pytest.mark.anyio
async def test_a_committed_operation_is_completed_after_its_last_step(
    closing: OperationActivities, engine: AsyncEngine, tenant_request: TenantCreationInput
) -> None:
    given = provision_input(tenant_request)
    committed_now = await provisioning_on(engine, SEND_WELCOME_EMAIL).provision_tenant(given)
    done = tuple(
        step.model_copy(update={"status": StepStatus.COMPLETED}) if step.name == SEND_WELCOME_EMAIL else step
        for step in committed_now.steps
    )
    snapshot = given.operation.snapshot.model_copy(update={"steps": done, "committed_at": committed_now.committed_at})
    completing = OperationInput(operation=given.operation.model_copy(update={"snapshot": snapshot}))
    await closing.complete_operation(completing)
    async with engine.connect() as connection:
        first = await find_operation(connection, given.operation.workflow_id)
    await closing.complete_operation(completing)
    async with engine.connect() as connection:
        second = await find_operation(connection, given.operation.workflow_id)
    assert first is not None
    assert first == second
    assert (first.snapshot.status, first.snapshot.progress, first.snapshot.step) == (S.COMPLETED, 100, COMPLETE)
    assert first.snapshot.finished_at is not None
    assert first.snapshot.result == committed_now.result


@pytest.mark.anyio
async def test_an_operation_without_a_row_has_nothing_to_lock(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await rows.OperationRow(connection, context(uuid4())).lock() is None
        assert await connection.scalar(text("SELECT 1")) == 1
