"""Tenants are suspended and reactivated over HTTP."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.auth.scopes import Scope
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.app.gateway.conftest import MANAGEMENT_TENANT, as_gateway, create_key, working
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.requests import create as create_tenant
from tests.app.gateway.rows import add_tenant, add_user, insert
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.servers.databases import NewDatabase
from tests.support.waiting import wait_until
from workflows.operations.kinds import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

PATIENCE = 60.0
# Longer than a worker needs, however slow the machine is.
LONG = 60
AT_ONCE = {"Prefer": "wait=0"}
REASON = {"reason": "unpaid"}


def path_of(tenant_id: UUID) -> str:
    return f"/tenants/{tenant_id}/suspension"


async def operations_of(database: asyncpg.Connection, tenant_id: UUID) -> list[str]:
    """Return the kinds of the operations on the tenant in the order of their starts."""
    query = "SELECT kind FROM alga_tenants.operations WHERE tenant_id = $1 ORDER BY started_at"
    return [row["kind"] for row in await database.fetch(query, tenant_id)]


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> UUID:
    """A tenant with two users, of whom one is active."""
    tenant_id = await add_tenant(database)
    await add_user(database, tenant_id)
    await add_user(database, tenant_id, is_inactive=True)
    return tenant_id


async def test_a_tenant_is_suspended_and_reactivated(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    http, path = http_with_worker, path_of(tenant_id)
    started = []
    for method, body, state, users in (("PUT", REASON, "suspended", 0), ("DELETE", None, "active", 1)):
        changed = await http.request(method, path, json=body)
        assert changed.status_code == 200, changed.text
        tenant = changed.json()
        assert (tenant["tenantId"], tenant["state"], tenant["userCount"]) == (str(tenant_id), state, users)
        operation = (await http.get(changed.headers["location"])).json()
        assert (operation["status"], operation["warnings"]) == ("completed", [])
        assert operation["result"] == {"tenantId": str(tenant_id), "changedUsers": 1, "changedEmailProviders": 0}
        assert operation["parameters"] == (body or {})
        started.append(operation["kind"])
        again = await http.request(method, path, json=body)
        assert (again.status_code, again.json()["state"], "location" in again.headers) == (200, state, False)
    assert started == await operations_of(database, tenant_id) == ["tenant_suspension", "tenant_reactivation"]
    events = "SELECT action FROM alga_tenants.audit_events WHERE tenant_id = $1 ORDER BY sequence"
    actions = [row["action"] for row in await database.fetch(events, tenant_id)]
    assert actions == ["tenant.suspend", "tenant.reactivate"]


async def test_without_a_worker_the_operation_is_returned(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    path = path_of(tenant_id)
    started = await http.put(path, json=REASON, headers=AT_ONCE)
    assert started.status_code == 202, started.text
    operation = started.json()
    assert (operation["kind"], operation["status"], operation["tenantName"]) == (
        "tenant_suspension",
        "queued",
        "Acme",
    )
    assert started.headers["location"] == operation["links"]["self"]
    assert (started.headers["retry-after"], started.headers["preference-applied"]) == ("1", "wait=0")
    again = await http.put(path, json={"reason": "another one"}, headers={"Prefer": "wait=1"})
    assert (again.status_code, again.json()["workflowId"]) == (202, operation["workflowId"])
    assert again.json()["parameters"] == REASON
    refused = await http.delete(path, headers=AT_ONCE)
    assert_problem(refused, 409, "operation-in-progress")
    for part in (operation["workflowId"], f"or cancel it: DELETE {operation['links']['cancel']}"):
        assert part in refused.json()["detail"]
    assert await operations_of(database, tenant_id) == ["tenant_suspension"]


async def test_simultaneous_requests_are_one_operation_of_each_kind_or_refused(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    http, path = http_with_worker, path_of(tenant_id)
    puts = await asyncio.gather(*(http.put(path, json=REASON) for _ in range(20)))
    assert {(response.status_code, response.json()["state"]) for response in puts} == {(200, "suspended")}
    assert await operations_of(database, tenant_id) == ["tenant_suspension"]
    mixed = await asyncio.gather(*(http.delete(path) if n % 2 else http.put(path, json=REASON) for n in range(20)))
    for response in mixed:
        if response.status_code != 200:
            assert_problem(response, 409, "operation-in-progress")
    kinds = await operations_of(database, tenant_id)
    # Each one undoes the one before.
    assert kinds == ["tenant_suspension", "tenant_reactivation"] * (len(kinds) // 2) + kinds[:1] * (len(kinds) % 2)
    state = (await http.get(f"/tenants/{tenant_id}")).json()["state"]
    assert state == ("suspended" if kinds[-1] == "tenant_suspension" else "active")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": " "}, "reason"),
        ({"reason": "a\x07b"}, "reason"),
        ({**REASON, "until": 1}, "until"),
    ],
)
async def test_an_invalid_body_names_the_field(
    http: httpx.AsyncClient, tenant_id: UUID, body: dict[str, Any], field: str
) -> None:
    refused = await http.put(path_of(tenant_id), json=body)
    assert_problem(refused, 422, "invalid-request")
    assert faults(refused).keys() == {field}


async def test_protected_and_unknown_tenants_are_refused(
    http: httpx.AsyncClient, settings: Settings, api_key: str, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    await insert(database, "tenants", tenant=MANAGEMENT_TENANT, client_name="Alga", email="alga@alga.example")
    unset = settings.model_copy(update={"master_billing_tenant_id": None})
    with RunningGateway(unset, api_key) as gateway:
        async with gateway.client() as unprotected:
            for client, tenant, status, code, text in (
                (http, uuid4(), 404, "tenant-not-found", "No such tenant"),
                (http, MANAGEMENT_TENANT, 409, "management-tenant", "never suspended or deleted"),
                (unprotected, tenant_id, 409, "management-tenant-unknown", "MASTER_BILLING_TENANT_ID"),
            ):
                for refused in (
                    await client.put(path_of(tenant), json=REASON),
                    await client.delete(path_of(tenant)),
                ):
                    assert_problem(refused, status, code)
                    assert text in refused.json()["detail"]
                assert await operations_of(database, tenant) == []


async def test_an_open_creation_or_deletion_is_in_the_way(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    creation = await create_tenant(http)
    creating = UUID(creation["tenantId"])
    await insert(database, "tenants", tenant=creating, client_name="Early", email="early@acme.example")
    deletion = await http.post(f"/tenants/{tenant_id}/deletion", json={"reason": "ended", "export": False})
    assert deletion.status_code == 202, deletion.text
    for tenant, operation, call in (
        (creating, creation, f"or cancel it: DELETE /operations/{creation['workflowId']}"),
        (tenant_id, deletion.json(), f"or undo it: POST /tenants/{tenant_id}/deletion/undo"),
    ):
        for refused in (await http.put(path_of(tenant), json=REASON), await http.delete(path_of(tenant))):
            assert_problem(refused, 409, "operation-in-progress")
            for part in (operation["workflowId"], operation["kind"], call):
                assert part in refused.json()["detail"]


async def test_an_operation_that_fails_in_time_is_the_problem_of_its_error(
    worked: httpx.AsyncClient,
    worked_settings: Settings,
    database: asyncpg.Connection,
    tenant_id: UUID,
) -> None:
    unset = worked_settings.model_copy(update={"master_billing_tenant_id": None})
    async with working(unset):
        refused = await worked.put(path_of(tenant_id), json=REASON)
    assert_problem(refused, 409, "management-tenant-unknown")
    assert "of the worker" in refused.json()["detail"]
    assert await operations_of(database, tenant_id) == ["tenant_suspension"]


async def test_an_operation_that_is_cancelled_in_time_is_a_conflict(
    worked_gateway: RunningGateway, worked: httpx.AsyncClient, worked_settings: Settings, tenant_id: UUID
) -> None:
    started = (await worked.put(path_of(tenant_id), json=REASON, headers=AT_ONCE)).json()
    waiting = asyncio.create_task(worked.put(path_of(tenant_id), json=REASON))
    await worked.delete(started["links"]["cancel"])

    async def is_waiting() -> bool:
        return worked_gateway.requests_in_progress > 0

    await wait_until(is_waiting, timeout=PATIENCE)
    async with working(worked_settings):
        response = await waiting
    assert_problem(response, 409, "operation-stopping")
    assert started["workflowId"] in response.json()["detail"]


async def test_a_tenant_that_alga_suspended_is_taken_over_and_given_back(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    http, path = http_with_worker, path_of(tenant_id)
    suspend = "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1"
    await database.execute(suspend, tenant_id)
    refused = await http.delete(path)
    assert_problem(refused, 409, "suspended-by-alga")
    assert await operations_of(database, tenant_id) == []
    taken = await http.put(path, json=REASON)
    assert (taken.status_code, taken.json()["state"], taken.json()["userCount"]) == (200, "suspended", 0)
    given_back = await http.delete(path)
    assert (given_back.status_code, given_back.json()["state"]) == (200, "suspended")
    operation = (await http.get(given_back.headers["location"])).json()
    assert [warning["code"] for warning in operation["warnings"]] == ["still-suspended"]
    assert (await http.get(f"/tenants/{tenant_id}")).json()["userCount"] == 1


async def test_a_caller_needs_the_scope_and_the_own_tenant(
    gateway: RunningGateway, keys: Keys, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    own = (await keys.create("own", tenant_id=tenant_id, scopes=frozenset({Scope.TENANTS_SUSPEND}))).key
    other = (await keys.create("other", tenant_id=uuid4(), scopes=frozenset({Scope.TENANTS_SUSPEND}))).key
    reader = (await keys.create("reader", tenant_id=tenant_id, scopes=frozenset({Scope.TENANTS_READ}))).key
    for key, status in ((other, 404), (reader, 403), (own, 202)):
        async with gateway.client(**{"X-API-Key": key, **AT_ONCE}) as http:
            assert (await http.put(path_of(tenant_id), json=REASON)).status_code == status
    assert await operations_of(database, tenant_id) == ["tenant_suspension"]


def test_both_kinds_need_the_scope_to_be_cancelled_and_resumed() -> None:
    kinds = [KINDS["tenant_suspension"], KINDS["tenant_reactivation"]]
    assert {scope for kind in kinds for scope in (kind.cancel_scope, kind.manage_scope)} == {"tenants:suspend"}


async def test_a_request_is_kept_until_a_worker_comes(
    worked: httpx.AsyncClient,
    worked_settings: Settings,
    database: asyncpg.Connection,
    tenant_id: UUID,
) -> None:
    waiting = asyncio.create_task(worked.put(path_of(tenant_id), json=REASON))

    async def is_started() -> bool:
        return await operations_of(database, tenant_id) != []

    await wait_until(is_started, timeout=PATIENCE)
    async with working(worked_settings):
        response = await waiting
    assert (response.status_code, response.json()["state"]) == (200, "suspended")


async def test_a_version_of_alga_without_the_columns_is_served_with_a_warning(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> None:
    url = new_database(migrated_template)
    older = settings.model_copy(
        update={
            "database_url": SecretStr(as_gateway(postgres, url)),
            "admin_database_url": SecretStr(url),
            "temporal_task_queue": f"older-{uuid4()}",
        }
    )
    database = await asyncpg.connect(url)
    try:
        await database.execute("ALTER TABLE tenants DROP COLUMN suspended_at, DROP COLUMN suspended_reason")
        tenant_id, other = await add_tenant(database), await add_tenant(database)
        await add_user(database, tenant_id)
    finally:
        await database.close()
    with RunningGateway(older, await create_key(older)) as gateway:
        async with working(older), gateway.client() as http:
            suspended = await http.put(path_of(tenant_id), json=REASON)
            assert (suspended.status_code, suspended.json()["state"]) == (200, "suspended"), suspended.text
            assert suspended.json()["userCount"] == 0
            operation = (await http.get(suspended.headers["location"])).json()
            (warning,) = operation["warnings"]
            assert (warning["code"], "its jobs, webhooks" in warning["detail"]) == ("suspension-incomplete", True)
            for state, expected in (("suspended", {tenant_id}), ("active", {other})):
                listed = (await http.get("/tenants", params={"state": state, "pageSize": 200})).json()["tenants"]
                assert {UUID(tenant["tenantId"]) for tenant in listed} & {tenant_id, other} == expected
            mail = await http.post(f"/tenants/{tenant_id}/welcome-email", headers={"Prefer": f"wait={LONG}"})
            assert mail.json()["status"] == "failed", mail.text
            reactivated = await http.delete(path_of(tenant_id))
            assert (reactivated.status_code, reactivated.json()["state"]) == (200, "active")
