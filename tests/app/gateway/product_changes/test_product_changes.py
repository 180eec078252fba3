"""The product of a tenant is changed and previewed over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from activities.alga.blueprints.blueprint import load_blueprints
from app.auth.scopes import Scope
from tests.app.gateway.conftest import MANAGEMENT_TENANT
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import add_tenant, add_user, insert
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.tenants.rows import fingerprints
from workflows.operations.kinds import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

AT_ONCE = {"Prefer": "wait=0"}
TO_PSA = {"productCode": "psa"}


def path_of(tenant_id: UUID) -> str:
    return f"/tenants/{tenant_id}/product-change"


async def operations_of(database: asyncpg.Connection, tenant_id: UUID) -> list[str]:
    """Return the kinds of the operations on the tenant in the order of their starts."""
    query = "SELECT kind FROM alga_tenants.operations WHERE tenant_id = $1 ORDER BY started_at"
    return [row["kind"] for row in await database.fetch(query, tenant_id)]


@pytest.fixture
async def tenant_id(database: asyncpg.Connection) -> UUID:
    """A tenant of product algadesk with an agent, whose role Alga itself has made."""
    tenant_id, role_id, user_id = await add_tenant(database, product_code="algadesk"), uuid4(), uuid4()
    await add_user(database, tenant_id, user_id=user_id)
    await insert(database, "roles", tenant=tenant_id, role_id=role_id, role_name="Agent", msp=True, client=False)
    await insert(database, "user_roles", tenant=tenant_id, user_id=user_id, role_id=role_id)
    return tenant_id


async def test_a_preview_writes_nothing_and_tells_what_the_change_then_does(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    http, path = http_with_worker, path_of(tenant_id)
    before = await fingerprints(database)
    preview = (await http.get(path)).json()
    assert (await http.get(path, params=TO_PSA)).json() == preview
    assert await fingerprints(database) == before
    assert (preview["productCode"], preview["newProductCode"]) == ("algadesk", "psa")
    assert (preview["isAllowed"], preview["refusals"], preview["warnings"]) == (True, [], [])
    tables = {part["table"]: part for part in preview["tables"]}
    blueprint = load_blueprints()["psa"].model
    assert tables["roles"]["rows"] == len(blueprint.role_keys())
    assert tables["roles"]["examples"][0] == "Admin (MSP)"
    assert "Dispatcher (MSP): " in " ".join(tables["role_permissions"]["examples"])
    assert len(tables["permissions"]["examples"]) == 10 < tables["permissions"]["rows"]
    assert tables["user_roles"]["rows"] == 1
    assert preview["changes"] == [{"table": "tenants", "rows": 1, "examples": ["productCode: algadesk becomes psa"]}]
    assert preview["stays"] == [{"table": "roles", "rows": 1, "examples": ["Agent (MSP)"]}]

    changed = await http.post(path, json=TO_PSA)

    assert (changed.status_code, changed.json()["productCode"]) == (200, "psa"), changed.text
    operation = (await http.get(changed.headers["location"])).json()
    assert (operation["kind"], operation["status"], operation["warnings"]) == (
        "tenant_product_change",
        "completed",
        [],
    )
    assert operation["result"]["addedRows"] == {table: part["rows"] for table, part in tables.items()}
    assert operation["parameters"] == TO_PSA
    assert [step["name"] for step in operation["steps"] if step["status"] == "completed"] == [
        "validate",
        "apply_blueprint",
        "grant_rights",
        "backfill_clients",
        "backfill_slas",
        "change_product",
        "verify",
    ]
    events = "SELECT action FROM alga_tenants.audit_events WHERE tenant_id = $1"
    assert [row["action"] for row in await database.fetch(events, tenant_id)] == ["tenant.change_product"]


async def test_a_tenant_of_the_product_stays_as_it_is(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    tenant_id = await add_tenant(database, product_code="psa")
    response = await http.post(path_of(tenant_id), json=TO_PSA)
    assert (response.status_code, response.json()["productCode"]) == (200, "psa")
    assert "location" not in response.headers
    preview = (await http.get(path_of(tenant_id))).json()
    assert (preview["isAllowed"], preview["rows"], preview["tables"], preview["changes"]) == (True, 0, [], [])
    assert await operations_of(database, tenant_id) == []


async def test_without_a_worker_simultaneous_requests_return_one_operation(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    path = path_of(tenant_id)
    started = await asyncio.gather(*(http.post(path, json=TO_PSA, headers=AT_ONCE) for _ in range(10)))
    assert {response.status_code for response in started} == {202}
    assert len({response.json()["workflowId"] for response in started}) == 1
    assert (started[0].json()["status"], started[0].json()["productCode"]) == ("queued", "psa")
    refused = await http.put(f"/tenants/{tenant_id}/suspension", json={"reason": "unpaid"})
    assert_problem(refused, 409, "operation-in-progress")
    preview = (await http.get(path)).json()
    assert [refusal["code"] for refusal in preview["refusals"]] == ["operation-in-progress"]
    assert await operations_of(database, tenant_id) == ["tenant_product_change"]


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({}, "productCode", "required"),
        ({"productCode": "algadesk"}, "productCode", "must be psa: a tenant can only change from algadesk to psa"),
        ({"productCode": "pas"}, "productCode", "must be psa"),
        ({**TO_PSA, "plan": "pro"}, "plan", ""),
    ],
)
async def test_an_invalid_body_names_the_field(
    http: httpx.AsyncClient, tenant_id: UUID, body: dict[str, Any], field: str, text: str
) -> None:
    refused = await http.post(path_of(tenant_id), json=body)
    assert_problem(refused, 422, "invalid-request")
    assert faults(refused).keys() == {field}
    assert text in faults(refused)[field]


async def test_a_preview_of_another_product_is_refused(http: httpx.AsyncClient, tenant_id: UUID) -> None:
    refused = await http.get(path_of(tenant_id), params={"productCode": "algadesk"})
    assert_problem(refused, 422, "invalid-request")
    assert faults(refused).keys() == {"productCode"}


@pytest.fixture
async def management_tenant(database: asyncpg.Connection) -> AsyncIterator[UUID]:
    """Alga's own tenant, which other tests add as well."""
    delete = "DELETE FROM tenants WHERE tenant = $1"
    await database.execute(delete, MANAGEMENT_TENANT)
    await add_tenant(database, "Alga", tenant=MANAGEMENT_TENANT, product_code="algadesk")
    yield MANAGEMENT_TENANT
    await database.execute(delete, MANAGEMENT_TENANT)


async def test_tenants_that_must_not_change_are_refused_and_the_preview_says_why(
    http: httpx.AsyncClient, database: asyncpg.Connection, tenant_id: UUID, management_tenant: UUID
) -> None:
    await insert(
        database,
        "stripe_subscriptions",
        tenant=tenant_id,
        stripe_subscription_external_id="sub_1",
        stripe_customer_id=uuid4(),
        stripe_price_id=uuid4(),
        status="trialing",
    )
    suspended = await add_tenant(database, product_code="algadesk")
    suspend = "UPDATE tenants SET suspended_at = now(), suspended_reason = 'tenant_cancelled' WHERE tenant = $1"
    await database.execute(suspend, suspended)
    deleted = await add_tenant(database, product_code="algadesk")
    deletion = await http.post(f"/tenants/{deleted}/deletion", json={"reason": "ended", "export": False})
    assert deletion.status_code == 202, deletion.text
    for tenant, code, text in (
        (management_tenant, "management-tenant", "whose product never changes"),
        (tenant_id, "stripe-subscription", "(sub_1), whose price only Stripe's API can change"),
        (suspended, "tenant-suspended", "reactivate it first"),
        (deleted, "operation-in-progress", deletion.json()["workflowId"]),
    ):
        refused = await http.post(path_of(tenant), json=TO_PSA)
        assert_problem(refused, 409, code)
        assert text in refused.json()["detail"]
        preview = (await http.get(path_of(tenant))).json()
        assert (preview["isAllowed"], [refusal["code"] for refusal in preview["refusals"]]) == (False, [code])
        assert text in preview["refusals"][0]["detail"]
    assert_problem(await http.post(path_of(uuid4()), json=TO_PSA), 404, "tenant-not-found")
    assert await operations_of(database, tenant_id) == []
    ended = "UPDATE stripe_subscriptions SET status = 'canceled' WHERE tenant = $1"
    await database.execute(ended, tenant_id)
    assert (await http.post(path_of(tenant_id), json=TO_PSA, headers=AT_ONCE)).status_code == 202


async def test_a_caller_needs_the_scope_and_the_own_tenant(
    gateway: RunningGateway, keys: Keys, database: asyncpg.Connection, tenant_id: UUID
) -> None:
    own = (await keys.create("own", tenant_id=tenant_id, scopes=frozenset({Scope.TENANTS_CHANGE}))).key
    other = (await keys.create("other", tenant_id=uuid4(), scopes=frozenset({Scope.TENANTS_CHANGE}))).key
    reader = (await keys.create("reader", tenant_id=tenant_id, scopes=frozenset({Scope.TENANTS_READ}))).key
    for key, posted, previewed in ((other, 404, 403), (reader, 403, 200), (own, 202, 403)):
        async with gateway.client(**{"X-API-Key": key, **AT_ONCE}) as http:
            assert (await http.post(path_of(tenant_id), json=TO_PSA)).status_code == posted
            assert (await http.get(path_of(tenant_id))).status_code == previewed
    assert await operations_of(database, tenant_id) == ["tenant_product_change"]
    kind = KINDS["tenant_product_change"]
    assert {kind.cancel_scope, kind.manage_scope} == {"tenants:change"}
