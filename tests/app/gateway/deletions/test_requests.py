"""Requests for deletions, and what is shown of them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.gateway.operations.starting import LOCK_NAME
from tests.app.gateway.deletions.conftest import MANAGEMENT_TENANT, begin, request
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.rows import NOON, add_deletion, add_tenant, snapshot, start
from tests.support.waiting import wait_until
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

# As a server that has become a standby rejects writes.
READ_ONLY = """
    CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'cannot execute INSERT in a read-only transaction' USING ERRCODE = '25006'; END $$;
    CREATE TRIGGER refuse_row BEFORE INSERT ON alga_tenants.operations EXECUTE FUNCTION refuse_row();
"""
WRITABLE = "DROP FUNCTION refuse_row() CASCADE"


@pytest.mark.parametrize(
    ("changes", "field", "detail"),
    [
        ({"gracePeriodDays": -1}, "gracePeriodDays", "must be at least 0"),
        ({"gracePeriodDays": 366}, "gracePeriodDays", "must be at most 365"),
        ({"gracePeriodDays": "x"}, "gracePeriodDays", "must be a whole number"),
        ({"gracePeriodDays": "30"}, "gracePeriodDays", "must be a whole number"),
        ({"export": 0}, "export", "must be true or false"),
        ({"confirm": "false"}, "confirm", "must be true or false"),
        ({"reason": ""}, "reason", "must not be empty"),
        ({"reason": " \u2003\n"}, "reason", "must not be empty"),
        ({"reason": "bell\a"}, "reason", "must not hold control characters"),
        ({"reason": "x" * 501}, "reason", "must have at most 500 characters"),
        ({"export": True}, "export", "is not possible without EXPORT_URL"),
        ({"novelty": 1}, "novelty", "is unknown"),
    ],
)
async def test_bad_input_is_refused_by_the_name_of_its_field(
    http: httpx.AsyncClient, database: asyncpg.Connection, changes: dict[str, Any], field: str, detail: str
) -> None:
    tenant_id = await add_tenant(database)
    body = {"reason": "contract ended", "export": False, **changes}
    response = await http.post(f"/tenants/{tenant_id}/deletion", json=body)
    assert response.status_code == 422
    [fault] = response.json()["errors"]
    assert (fault["field"], fault["detail"].startswith(detail)) == (field, True), fault
    assert (await http.get(f"/tenants/{tenant_id}/deletion")).status_code == 404


async def test_an_unknown_tenant_is_refused(http: httpx.AsyncClient) -> None:
    body = {"reason": "x", "export": False}
    unknown = await http.post(f"/tenants/{uuid4()}/deletion", json=body)
    assert_problem(unknown, 404, "tenant-not-found")
    for method, path in (("GET", ""), ("POST", "/confirm"), ("POST", "/undo")):
        response = await http.request(method, f"/tenants/{uuid4()}/deletion{path}")
        assert_problem(response, 404, "deletion-not-found")
    assert_problem(await http.get(f"/tenants/{uuid4()}/deletion/certificate"), 404, "certificate-not-found")


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_tenant_that_is_being_created_is_refused_by_the_name_of_its_creation(
    http: httpx.AsyncClient, temporal_client: Client, is_open: bool
) -> None:
    tenant_id = uuid4()
    workflow_id = await start(temporal_client, snapshot(OperationStatus.RUNNING, tenant_id))
    if not is_open:
        await temporal_client.get_workflow_handle(workflow_id).terminate()
    for method, path, body in (
        ("POST", "deletion", {"reason": "x", "export": False}),
        ("PUT", "suspension", {"reason": "x"}),
        ("POST", "welcome-email", {}),
    ):
        response = await http.request(method, f"/tenants/{tenant_id}/{path}", json=body)
        if is_open:
            assert_problem(response, 409, "operation-in-progress")
            assert f"GET /operations/{workflow_id} shows its end" in response.json()["detail"]
        else:
            assert_problem(response, 404, "tenant-not-found")


async def test_the_management_tenant_is_refused(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    await add_tenant(database, tenant=MANAGEMENT_TENANT)
    response = await http.post(f"/tenants/{MANAGEMENT_TENANT}/deletion", json={"reason": "x", "export": False})
    assert_problem(response, 409, "management-tenant")


async def test_the_same_request_returns_its_operation_and_another_one_is_refused(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    first = await request(http, tenant_id, gracePeriodDays=7)
    assert (await request(http, tenant_id, gracePeriodDays=7))["workflowId"] == first["workflowId"]
    other = {"reason": "contract ended", "export": False, "gracePeriodDays": 8}
    response = await http.post(f"/tenants/{tenant_id}/deletion", json=other)
    assert_problem(response, 409, "operation-in-progress")
    assert "other parameters" in response.json()["detail"]


async def test_a_repeated_request_that_also_confirms_confirms_the_open_deletion(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    operation = await request(http, tenant_id)
    body = {"reason": "contract ended", "export": False, "confirm": True}
    early = await http.post(f"/tenants/{tenant_id}/deletion", json=body)
    assert_problem(early, 409, "deletion-not-begun")
    await begin(database, operation)
    assert (await request(http, tenant_id, confirm=True))["workflowId"] == operation["workflowId"]
    assert (await http.get(f"/tenants/{tenant_id}/deletion")).json()["confirmedAt"] is not None


async def test_a_request_that_no_worker_has_begun_is_shown(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    await add_deletion(database, tenant_id, undone_at=NOON, requested_at=NOON - timedelta(days=3))
    operation = await request(http, tenant_id, gracePeriodDays=3)
    shown = (await http.get(f"/tenants/{tenant_id}/deletion")).json()
    assert (shown["workflowId"], shown["operation"]["status"]) == (operation["workflowId"], "queued")
    assert (shown["reason"], shown["gracePeriodDays"], shown["tenantName"]) == ("contract ended", 3, "Acme")
    assert shown["requestedBy"] == operation["requestedBy"]
    assert shown["links"]["undo"] == f"/tenants/{tenant_id}/deletion/undo"


async def test_a_deletion_whose_row_could_not_be_written_is_found_and_undone(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    await database.execute(READ_ONLY)
    operation = await request(http, tenant_id)
    await database.execute(WRITABLE)
    query = "SELECT count(*) FROM alga_tenants.operations WHERE tenant_id = $1"
    assert await database.fetchval(query, tenant_id) == 0
    shown = (await http.get(f"/tenants/{tenant_id}/deletion")).json()
    assert (shown["workflowId"], shown["operation"]["status"]) == (operation["workflowId"], "queued")
    assert_problem(await http.post(f"/tenants/{tenant_id}/deletion/confirm"), 409, "deletion-not-begun")
    undone = await http.post(f"/tenants/{tenant_id}/deletion/undo")
    assert (undone.status_code, undone.json()["workflowId"]) == (202, operation["workflowId"]), undone.text


async def test_an_ended_deletion_is_shown_without_what_can_not_be_done_any_more(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    await add_deletion(database, tenant_id, deleted_at=NOON, confirmed_at=NOON)
    links = (await http.get(f"/tenants/{tenant_id}/deletion")).json()["links"]
    assert (links["confirm"], links["undo"]) == (None, None)
    assert links["certificate"] == f"/tenants/{tenant_id}/deletion/certificate"


async def test_a_tenant_that_is_deleted_while_a_request_waits_is_not_deleted_again(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = await add_tenant(database)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"

    async def waits() -> bool:
        return bool(await database.fetchval(waiting))

    async with database.transaction():
        await database.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{LOCK_NAME} {tenant_id}")
        requested = asyncio.create_task(
            http.post(f"/tenants/{tenant_id}/deletion", json={"reason": "contract ended", "export": False})
        )
        await wait_until(waits, timeout=30.0)
        await database.execute("DELETE FROM tenants WHERE tenant = $1", tenant_id)

    assert_problem(await requested, 404, "tenant-not-found")
