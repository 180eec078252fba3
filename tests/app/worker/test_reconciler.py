"""The reconciler on a real database and a real Temporal, with operations put where a test wants them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.alga.development import create_development_tables
from activities.database.engines import create_engine
from activities.operations.reconciliation import settle_ended
from activities.operations.records import find_operation
from activities.operations.rows import request_cancel
from app.embedded.processes.blocking import run_blocking
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings, TemporalSettings
from app.telemetry.metrics.definitions import RECONCILE_FAILURES
from app.temporal.client import connect
from app.temporal.errors import UnreadableOperationError
from app.temporal.operations import TemporalOperations
from app.worker.reconciler import Finding, Reconciler
from migrations.upgrade import admin_engine, upgrade
from tests.app.gateway.operation_rows import record, snapshot, start
from tests.support.audit import AUDIT
from tests.support.servers.databases import NewDatabase
from workflows.operations.messages import OPERATION_MEMO, Cancellation, OperationContext, OperationError
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TENANT_CREATION

pytestmark = pytest.mark.anyio

ERROR = OperationError(code="database-unavailable", detail="the connection was lost")
ANOTHER_KEY = f"stranger:{base64.b64encode(bytes(32)).decode()}"
LATER = datetime(2099, 1, 2, tzinfo=UTC)


def request(**changes: Any) -> dict[str, Any]:
    """A request as Alga's TypeScript client sends it."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": "Ada@acme.example", "password": "correct horse"}
    return {"tenantName": "Acme", "adminUser": admin, "companyName": "Acme Corp", "licenseCount": 5, **changes}


@pytest.fixture(scope="module")
def database_url(new_database: NewDatabase) -> str:
    url = new_database()
    run_blocking(_prepare(url))
    return url


async def _prepare(url: str) -> None:
    target = make_url(url).set(drivername="postgresql+asyncpg")
    await upgrade(target)
    engine = admin_engine(target)
    async with engine.begin() as connection:
        await create_development_tables(connection)
    await engine.dispose()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM alga_tenants.operations; DELETE FROM alga_tenants.cancellations")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=4, statement_timeout=8)
    yield engine
    await engine.dispose()


@pytest.fixture
def settings(database_url: str, temporal: EmbeddedTemporal) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        admin_database_url=SecretStr(database_url),
        temporal_address=temporal.address,
        temporal_task_queue=f"reconciled-{uuid4()}",
        nextauth_secret=SecretStr("test-nextauth-secret"),
    )


@pytest.fixture
async def client(settings: Settings) -> Client:
    return await connect(settings)


@pytest.fixture
def reconciler(engine: AsyncEngine, client: Client, settings: Settings) -> Reconciler:
    return Reconciler(engine, TemporalOperations(client, settings), AUDIT)


async def findings_of(reconciler: Reconciler, **options: Any) -> list[Finding]:
    return [finding async for finding in reconciler.reconcile(**options)]


async def row_of(database: asyncpg.Connection, workflow_id: str) -> asyncpg.Record:
    return await database.fetchrow("SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)


async def operation(client: Client, database: asyncpg.Connection, status: OperationStatus, **fields: Any) -> str:
    """A workflow whose memo says that, and its row, which says that it is running."""
    tenant_id = uuid4()
    workflow_id = await start(client, snapshot(status, tenant_id, **fields))
    run_id = (await client.get_workflow_handle(workflow_id).describe()).run_id
    await record(database, workflow_id=workflow_id, run_id=run_id, tenant_id=tenant_id, status="running")
    return workflow_id


async def commit(database: asyncpg.Connection, workflow_id: str, *, pending: str | None = None) -> None:
    """What the transaction of the operation writes into its row; a step may follow."""
    steps = [
        {"name": step.name, "status": "pending" if pending in {step.name, step.activity} else "completed"}
        for step in TENANT_CREATION.steps
    ]
    await database.execute(
        "UPDATE alga_tenants.operations SET committed_at = now(), steps = $2::jsonb, result = $3::jsonb"
        " WHERE workflow_id = $1",
        workflow_id,
        json.dumps(steps),
        json.dumps({"tenantId": str(uuid4())}),
    )


async def test_a_row_shows_what_its_running_workflow_waits_for(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(
        client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR, attention_deadline=LATER
    )
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.NEEDS_ATTENTION)
    row = await row_of(database, workflow_id)
    assert (row["status"], row["attention_deadline"], row["finished_at"]) == ("needs_attention", LATER, None)
    assert "database-unavailable" in row["error"]
    assert await findings_of(reconciler) == []


async def test_a_row_learns_the_tenant_id_that_its_workflow_has_made(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    tenant_id = (await row_of(database, workflow_id))["tenant_id"]
    await database.execute("UPDATE alga_tenants.operations SET tenant_id = NULL")
    await findings_of(reconciler)
    assert (await row_of(database, workflow_id))["tenant_id"] == tenant_id


@pytest.mark.parametrize("status", [OperationStatus.QUEUED, OperationStatus.RUNNING])
async def test_what_is_at_work_is_left_to_its_steps(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection, status: OperationStatus
) -> None:
    workflow_id = await operation(client, database, status)
    before = await row_of(database, workflow_id)
    assert await findings_of(reconciler) == []
    assert await row_of(database, workflow_id) == before


async def test_rows_that_were_written_a_moment_ago_are_left_out(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    await operation(client, database, OperationStatus.NEEDS_ATTENTION, error=ERROR)
    assert await findings_of(reconciler, untouched_for=timedelta(minutes=1)) == []


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


async def test_an_ended_workflow_is_looked_at_once_over_several_rounds(
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
async def test_an_operation_that_was_asked_to_stop_before_its_commit_is_cancelled(
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


async def test_an_operation_that_was_asked_to_stop_after_its_commit_has_completed(
    reconciler: Reconciler, client: Client, engine: AsyncEngine, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await commit(database, workflow_id)
    row = await row_of(database, workflow_id)
    async with engine.begin() as connection:
        await request_cancel(connection, workflow_id, row["run_id"], Cancellation(by="key:x"))
    await client.get_workflow_handle(workflow_id).terminate()
    assert [finding.status for finding in await findings_of(reconciler)] == [OperationStatus.COMPLETED]


async def test_whoever_reads_an_ended_operation_first_settles_it(
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


async def test_a_row_that_the_database_refuses_to_close_keeps_nobody_from_looking_at_the_others(
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


async def test_a_row_that_this_release_cannot_read_keeps_nobody_from_looking_at_the_others(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    broken, closed = sorted([await operation(client, database, OperationStatus.RUNNING) for _ in range(2)])
    for workflow_id in (broken, closed):
        await client.get_workflow_handle(workflow_id).terminate()
    await database.execute(
        """UPDATE alga_tenants.operations SET steps = '["nonsense"]' WHERE workflow_id = $1""", broken
    )
    assert [finding.workflow_id for finding in await findings_of(reconciler)] == [closed]


async def test_an_operation_whose_key_is_not_here_keeps_nobody_from_looking_at_the_others(
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


async def listed(client: Client, settings: Settings) -> list[str]:
    """What Temporal lists on our task queue, which is a moment late."""
    query = f"TaskQueue = '{settings.temporal_task_queue}'"
    return [workflow.id async for workflow in client.list_workflows(query)]


async def test_a_workflow_that_said_itself_how_it_ended_is_believed(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.CANCELLED)
    await client.get_workflow_handle(workflow_id).terminate()
    assert [finding.status for finding in await findings_of(reconciler)] == [OperationStatus.CANCELLED]
    assert (await row_of(database, workflow_id))["status"] == "cancelled"


async def test_a_row_that_came_back_from_a_backup_of_before_the_commit_has_failed(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.COMPLETED)
    await client.get_workflow_handle(workflow_id).terminate()
    [finding] = await findings_of(reconciler)
    assert finding.status is OperationStatus.FAILED


async def test_another_namespaces_operations_are_not_looked_at(
    reconciler: Reconciler, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="running", namespace="elsewhere")
    assert await findings_of(reconciler) == []
    assert (await row_of(database, workflow_id))["status"] == "running"


async def test_an_earlier_run_under_the_same_id_is_judged_by_its_own_end(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    workflow_id = await operation(client, database, OperationStatus.RUNNING)
    await client.get_workflow_handle(workflow_id).terminate()
    await start(client, snapshot(OperationStatus.RUNNING, uuid4()), workflow_id)
    [finding] = await findings_of(reconciler)
    assert (finding.workflow_id, finding.status) == (workflow_id, OperationStatus.FAILED)


async def test_two_at_once_close_an_operation_once(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    for _ in range(3):
        await client.get_workflow_handle(await operation(client, database, OperationStatus.RUNNING)).terminate()
    both = await asyncio.gather(findings_of(reconciler), findings_of(reconciler))
    assert sorted(len(found) for found in both) == sorted((3 - len(both[0]), len(both[0])))
    assert sum(len(found) for found in both) == 3


async def test_one_operation_can_be_named(
    reconciler: Reconciler, client: Client, database: asyncpg.Connection
) -> None:
    named, other = [await operation(client, database, OperationStatus.RETRYING, error=ERROR) for _ in range(2)]
    found, finding = await reconciler.reconcile_one(named)
    assert found is not None
    assert finding is not None
    assert finding.status is OperationStatus.RETRYING
    assert (await row_of(database, other))["status"] == "running"
    assert await reconciler.reconcile_one("unknown") == (None, None)


async def test_an_operation_without_a_row_can_be_named(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    workflow_id = await unrecorded(client, settings, request())
    await client.get_workflow_handle(workflow_id).terminate()
    _, finding = await reconciler.reconcile_one(workflow_id)
    assert finding is not None
    assert finding.status is OperationStatus.FAILED
    assert (await row_of(database, workflow_id))["status"] == "failed"


async def unrecorded(client: Client, settings: Settings, argument: Any, status: OperationStatus | None = None) -> str:
    """A workflow on our task queue none of whose steps could write a row."""
    workflow_id = f"appliance-{uuid4()}"
    await client.start_workflow(
        "tenantCreationWorkflow",
        argument,
        id=workflow_id,
        task_queue=settings.temporal_task_queue,
        memo={OPERATION_MEMO: snapshot(status, uuid4(), error=ERROR)} if status else None,
    )
    return workflow_id


async def adopted(reconciler: Reconciler, workflow_id: str) -> list[OperationStatus]:
    """What was found of the operation, once Temporal lists it."""
    with anyio.fail_after(20):
        while True:
            found = [
                finding.status for finding in await findings_of(reconciler) if finding.workflow_id == workflow_id
            ]
            if found:
                return found


async def test_a_parked_operation_that_could_never_write_its_row_gets_one(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    given = request(tenantName="Umbrella", productCode="algadesk")
    workflow_id = await unrecorded(client, settings, given, OperationStatus.NEEDS_ATTENTION)
    assert await adopted(reconciler, workflow_id) == [OperationStatus.QUEUED, OperationStatus.NEEDS_ATTENTION]
    row = await row_of(database, workflow_id)
    assert (row["status"], row["tenant_name"], row["product_code"]) == ("needs_attention", "Umbrella", "algadesk")
    assert await findings_of(reconciler) == []
    await client.get_workflow_handle(workflow_id).terminate()


async def test_a_workflow_that_was_terminated_before_its_first_step_gets_a_row_that_says_so(
    reconciler: Reconciler, client: Client, settings: Settings, database: asyncpg.Connection
) -> None:
    workflow_id = await unrecorded(client, settings, request())
    await client.get_workflow_handle(workflow_id).terminate()
    assert await adopted(reconciler, workflow_id) == [OperationStatus.QUEUED, OperationStatus.FAILED]
    row = await row_of(database, workflow_id)
    assert (row["status"], row["tenant_id"]) == ("failed", None)


async def test_what_is_not_ours_gets_no_row_and_what_is_not_understood_one_without_a_name(
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


async def test_a_parked_workflow_whose_row_says_that_it_is_complete_goes_on(
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
