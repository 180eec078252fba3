"""Operations that start on existing tenants: simultaneous equal requests are one operation."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.database import gateway_engine
from app.embedded.temporal import EmbeddedTemporal
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationInProgressError
from app.gateway.operations.starting import LOCK_NAME, OperationStarts
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.operations import TemporalOperations
from tests.app.gateway.conftest import Start
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import add_tenant
from tests.app.gateway.server import RunningGateway
from tests.support.servers.proxy import Proxy
from tests.support.waiting import wait_until
from workflows.operations.kinds import KINDS, OperationKind
from workflows.operations.messages import OperationRequest
from workflows.tenants.steps import RESEND_WORKFLOW, WELCOME_EMAIL

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
WAITING_FOR_HEAD = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = 'Lock' AND query ILIKE '%alga_tenants.audit_head%FOR UPDATE%')
"""
WAITING_FOR_TENANTS = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()
"""
SOME_WAIT = WAITING_FOR_TENANTS.replace("count(*)", "count(*) > 0")


async def send(http: httpx.AsyncClient, tenant_id: UUID, **body: str) -> httpx.Response:
    return await http.post(f"/tenants/{tenant_id}/welcome-email", json=body)


async def rows_of(database: asyncpg.Connection, tenant_id: UUID) -> list[str]:
    rows = await database.fetch("SELECT workflow_id FROM alga_tenants.operations WHERE tenant_id = $1", tenant_id)
    return [row["workflow_id"] for row in rows]


def only_id(*responses: httpx.Response) -> str:
    """Return the workflow id in responses that are all of one started operation."""
    assert {response.status_code for response in responses} == {202}, [response.text for response in responses]
    [workflow_id] = {response.json()["workflowId"] for response in responses}
    return str(workflow_id)


def lock_of(tenant_id: UUID) -> tuple[str, str]:
    """Return the statement by which a gateway locks a tenant, and its argument."""
    return "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{LOCK_NAME} {tenant_id}"


@asynccontextmanager
async def locked(gateway_database: str, statement: str, *arguments: str) -> AsyncIterator[None]:
    """Hold the locks of a statement."""
    connection = await asyncpg.connect(gateway_database)
    try:
        async with connection.transaction():
            await connection.execute(statement, *arguments)
            yield
    finally:
        await connection.close()


@asynccontextmanager
async def open_starts(settings: Settings) -> AsyncIterator[OperationStarts]:
    """The service of one gateway."""
    engine, audit = gateway_engine(settings), audit_trail(settings)
    operations = TemporalOperations(await connect(settings), settings)
    try:
        yield OperationStarts(
            engine, operations, OperationLookup(engine, operations, audit), audit, max_connections=1
        )
    finally:
        await engine.dispose()


@pytest.fixture
def other_kind() -> Iterator[OperationKind]:
    """Register a kind for one test."""
    kind = replace(WELCOME_EMAIL, name="tenant_rename", workflow_types=("tenantRenameWorkflow",), id_prefix="rename-")
    yield KINDS.register(kind)
    del KINDS[kind.name]


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> UUID:
    return await add_tenant(database)


async def test_fifty_simultaneous_requests_are_one_operation(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    workflow_id = only_id(*await asyncio.gather(*(send(http, tenant_id) for _ in range(50))))
    assert await rows_of(database, tenant_id) == [workflow_id]
    events = "SELECT action FROM alga_tenants.audit_events WHERE tenant_id = $1"
    assert [row["action"] for row in await database.fetch(events, tenant_id)] == [WELCOME_EMAIL.request_action]


async def test_fifty_simultaneous_requests_to_two_gateways_are_one_operation(
    http: httpx.AsyncClient, worked: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    clients = [http, worked] * 25
    workflow_id = only_id(*await asyncio.gather(*(send(client, tenant_id) for client in clients)))
    assert await rows_of(database, tenant_id) == [workflow_id]


async def test_of_simultaneous_requests_for_two_users_one_is_refused_and_learns_how_to_go_on(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    responses = await asyncio.gather(*(send(http, tenant_id, userId=str(uuid4())) for _ in range(2)))
    started, refused = sorted(responses, key=lambda response: response.status_code)
    workflow_id = only_id(started)
    assert_problem(refused, 409, "operation-in-progress")
    for part in (workflow_id, f"GET /operations/{workflow_id}", f"DELETE /operations/{workflow_id}"):
        assert part in refused.json()["detail"]
    assert await rows_of(database, tenant_id) == [workflow_id]


async def test_of_simultaneous_operations_of_two_kinds_one_is_refused_before_it_starts(
    settings: Settings, database: asyncpg.Connection, tenant_id: UUID, other_kind: OperationKind
) -> None:
    async with AsyncExitStack() as stack:
        # Two, as in two gateways.
        first, second = [await stack.enter_async_context(open_starts(settings)) for _ in range(2)]
        request = OperationRequest(tenant_id=tenant_id, origin=operator().origin())
        started, refused = sorted(
            await asyncio.gather(
                first.start(WELCOME_EMAIL, RESEND_WORKFLOW, request, is_same=lambda _: True),
                second.start(other_kind, other_kind.workflow_types[0], request, is_same=lambda _: True),
                return_exceptions=True,
            ),
            key=lambda outcome: isinstance(outcome, BaseException),
        )
    assert isinstance(started, OperationView)
    assert isinstance(refused, OperationInProgressError)
    assert f"{started.workflow_id} ({started.snapshot.kind})" in refused.detail
    assert await rows_of(database, tenant_id) == [started.workflow_id]


async def test_a_gateway_that_is_killed_between_start_and_row_leaves_one_operation(
    start: Start,
    gateway_database: str,
    temporal_client: Client,
    http: httpx.AsyncClient,
    database: asyncpg.Connection,
) -> None:
    tenant_id = await add_tenant(database)
    queue = f"unpolled-{uuid4()}"
    killed = start(TEMPORAL_TASK_QUEUE=queue)
    async with killed.client() as client, locked(gateway_database, "SELECT FROM alga_tenants.audit_head FOR UPDATE"):
        request = asyncio.create_task(send(client, tenant_id))
        await wait_until(lambda: database.fetchval(WAITING_FOR_HEAD), timeout=PATIENCE, every=0.02)
        os.kill(killed.process.pid, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await request
    assert await rows_of(database, tenant_id) == []
    workflow_id = only_id(*[await send(http, tenant_id) for _ in range(2)])
    described = await temporal_client.get_workflow_handle(workflow_id).describe()
    assert described.task_queue == queue


async def test_a_start_whose_response_was_lost_is_found_by_the_same_request(
    settings: Settings, api_key: str, temporal: EmbeddedTemporal, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    other = await add_tenant(database)
    async with Proxy(int(temporal.address.rpartition(":")[2])) as proxy:
        changes = {
            "temporal_address": f"127.0.0.1:{proxy.port}",
            "temporal_rpc_timeout": 1.0,
            "temporal_task_queue": f"unpolled-{uuid4()}",
        }
        with RunningGateway(settings.model_copy(update=changes), api_key) as gateway:
            async with gateway.client() as http:
                only_id(await send(http, other))
                proxy.mute()
                assert_problem(await send(http, tenant_id), 503, "temporal-unavailable")
                assert await rows_of(database, tenant_id) == []
                proxy.flow()
                response = await send(http, tenant_id)
                workflow_id = only_id(response)
                refused = await send(http, tenant_id, userId=str(uuid4()))
                assert (refused.status_code, workflow_id in refused.json()["detail"]) == (409, True)
    client = await Client.connect(temporal.address)
    query = f"TaskQueue = '{changes['temporal_task_queue']}' AND WorkflowType = '{RESEND_WORKFLOW}'"

    async def are_listed() -> bool:
        return (await client.count_workflows(query)).count >= 2

    await wait_until(are_listed, timeout=PATIENCE)
    assert (await client.count_workflows(query)).count == 2


async def test_a_row_that_can_not_be_inserted_does_not_fail_the_start(
    http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    role = urlsplit(settings.database_url.get_secret_value()).username
    await database.execute(f"REVOKE INSERT ON alga_tenants.operations FROM {role}")
    try:
        workflow_id = only_id(await send(http, tenant_id))
        assert await rows_of(database, tenant_id) == []
    finally:
        await database.execute(f"GRANT INSERT ON alga_tenants.operations TO {role}")
    assert only_id(await send(http, tenant_id)) == workflow_id


async def test_an_operation_that_was_ended_in_temporal_does_not_hinder_the_next_one(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    ended = only_id(await send(http, tenant_id))
    await temporal_client.get_workflow_handle(ended).terminate()
    response = await send(http, tenant_id, userId=str(uuid4()))
    started = only_id(response)
    assert (started != ended, response.json()["status"]) == (True, "queued")
    assert set(await rows_of(database, tenant_id)) == {started, ended}


async def test_a_tenant_that_is_locked_for_long_is_a_503_and_hinders_no_other_tenant(
    http: httpx.AsyncClient, gateway_database: str, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    async with locked(gateway_database, *lock_of(tenant_id)):
        waiting = [asyncio.create_task(send(http, tenant_id)) for _ in range(50)]
        await wait_until(lambda: database.fetchval(SOME_WAIT), timeout=PATIENCE, every=0.02)
        only_id(await send(http, await add_tenant(database)))
        for response in await asyncio.gather(*waiting):
            assert_problem(response, 503, "tenant-busy")
            assert int(response.headers["Retry-After"]) > 0
    assert await rows_of(database, tenant_id) == []
    only_id(await send(http, tenant_id))


async def test_requests_that_wait_leave_half_of_the_pool_to_others(
    settings: Settings, api_key: str, gateway_database: str, database: asyncpg.Connection
) -> None:
    tenants = [await add_tenant(database) for _ in range(2)]
    with RunningGateway(settings.model_copy(update={"database_pool_size": 2}), api_key) as gateway:
        async with (
            gateway.client() as http,
            locked(gateway_database, *lock_of(tenants[0])),
            locked(gateway_database, *lock_of(tenants[1])),
        ):
            waiting = [asyncio.create_task(send(http, tenant)) for tenant in tenants * 25]
            await wait_until(lambda: database.fetchval(SOME_WAIT), timeout=PATIENCE, every=0.02)
            for response in await asyncio.gather(*(http.get("/tenants") for _ in range(50))):
                assert response.status_code == 200
            assert await database.fetchval(WAITING_FOR_TENANTS) <= 1
            assert {response.status_code for response in await asyncio.gather(*waiting)} == {503}
