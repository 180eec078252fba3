import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import pytest

from activities.alga.passwords import PasswordHasher
from tests.e2e.conftest import SECRET, Service, in_both_shapes, request
from tests.support.tenants.rows import fingerprints, row_counts, tenant_tables

pytestmark = pytest.mark.anyio

# Alga's tenants also get these; they come with a blueprint captured from a live tenant.
CAPTURED = {
    "project_templates",
    "project_template_phases",
    "project_template_tasks",
    "project_template_checklist_items",
    "project_template_status_mappings",
    "workflow_definitions",
    "workflow_definition_versions",
    "tenant_workflow_schedule",
}
# Times and random values of Alga's code, which can't be compared.
VOLATILE = ("<id>", "<time>", "<hash>")
NOT_COMPARED = {"tax_rates": {"start_date"}, "tenant_email_settings": {"id"}, "tenants": {"stripe_event_id"}}


@in_both_shapes
@pytest.mark.parametrize("product", ["psa", "algadesk"])
async def test_the_golden_request_writes_the_golden_rows(
    service: Service, database: asyncpg.Connection, golden: Mapping[str, Any], product: str
) -> None:
    expected = golden[product]
    document = await service.provision(**{**expected["input"], "tenantId": str(uuid4())})
    tenant_id = document["tenantId"]
    try:
        wanted = {table: count for table, count in expected["row_counts"].items() if table not in CAPTURED}
        assert await row_counts(database, tenant_id) == wanted
        assert await _roles(database, tenant_id) == sorted(map(tuple, expected["roles"]))
        assert await _permissions(database, tenant_id) == sorted(map(tuple, expected["permissions"]))
        assert await _grants(database, tenant_id) == {
            role: sorted(map(tuple, granted)) for role, granted in expected["role_permissions"].items()
        }
        for table, rows in expected["rows"].items():
            if table not in CAPTURED and len(rows) == wanted[table]:
                await _compare(database, tenant_id, table, rows)
        stored = await database.fetchval("SELECT hashed_password FROM users WHERE tenant = $1", tenant_id)
        assert PasswordHasher(SECRET).verify(expected["input"]["adminUser"]["password"], stored)
    finally:
        # The golden e-mail can be used once in a database.
        await database.execute(
            "UPDATE users SET email = user_id::text, username = user_id::text WHERE tenant = $1", tenant_id
        )


@in_both_shapes
async def test_the_administrator_has_the_msp_admin_role_and_no_other(
    service: Service, database: asyncpg.Connection
) -> None:
    document = await service.provision()
    roles = await database.fetch(
        "SELECT r.role_name, r.msp, r.client FROM user_roles ur"
        " JOIN roles r ON r.tenant = ur.tenant AND r.role_id = ur.role_id WHERE ur.tenant = $1",
        document["tenantId"],
    )
    assert [tuple(role) for role in roles] == [("Admin", True, False)]


@in_both_shapes
async def test_the_optional_fields_are_written(service: Service, database: asyncpg.Connection) -> None:
    document = await service.provision(
        companyName="Acme Corp",
        clientName="Acme Client",
        licenseCount=7,
        plan="pro",
        billingSource="stripe",
        emailProvider="smtp",
        addons=["ai", "ai", "enterprise"],
        contractLine="Managed Services",
        billingAddress={
            "line1": "1 Main St",
            "city": "Bern",
            "countryCode": "ch",
            "postalCode": "3000",
            "phone": "+41 1",
        },
    )
    tenant_id = document["tenantId"]
    tenant = await database.fetchrow("SELECT * FROM tenants WHERE tenant = $1", tenant_id)
    assert (tenant["client_name"], tenant["plan"], tenant["billing_source"]) == ("Acme Corp", "pro", "stripe")
    assert tenant["licensed_user_count"] == 7
    assert await database.fetchval("SELECT client_name FROM clients WHERE tenant = $1", tenant_id) == "Acme Client"
    location = await database.fetchrow("SELECT * FROM client_locations WHERE tenant = $1", tenant_id)
    assert (location["address_line1"], location["city"], location["country_code"]) == ("1 Main St", "Bern", "CH")
    assert location["country_name"] == "Switzerland"
    addons = await database.fetch("SELECT addon_key FROM tenant_addons WHERE tenant = $1 ORDER BY 1", tenant_id)
    assert [addon[0] for addon in addons] == ["ai", "enterprise"]
    preset = await database.fetchval("SELECT preset_name FROM contract_line_presets WHERE tenant = $1", tenant_id)
    assert preset == "Managed Services"
    assert await database.fetchval("SELECT count(*) FROM default_billing_settings WHERE tenant = $1", tenant_id) == 1


async def test_prefer_wait_returns_the_finished_tenant(service: Service) -> None:
    document = await service.create(expected=201, headers={"Prefer": "wait=30"})
    assert document["status"] == "completed"
    assert document["result"]["tenantId"] == document["tenantId"]


async def test_one_idempotency_key_makes_one_tenant_of_fifty_requests(
    service: Service, database: asyncpg.Connection
) -> None:
    body = request(tenantName=f"Once {uuid4()}")
    headers = {"Idempotency-Key": str(uuid4())}
    responses: list[dict[str, Any]] = []

    async def post() -> None:
        response = await service.http.post("/tenants", json=body, headers=headers)
        assert response.status_code == 202, response.text
        responses.append(response.json())

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(post)
    assert len({(response["workflowId"], response["tenantId"]) for response in responses}) == 1
    assert (await service.finished(responses[0]["workflowId"]))["status"] == "completed"
    count = await database.fetchval("SELECT count(*) FROM tenants WHERE client_name = $1", body["tenantName"])
    assert count == 1


async def test_fifty_requests_with_one_email_make_one_tenant_and_forty_nine_clear_failures(
    service: Service, database: asyncpg.Connection
) -> None:
    body = request()
    workflow_ids: list[str] = []

    async def post() -> None:
        response = await service.http.post("/tenants", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert response.status_code == 202, response.text
        workflow_ids.append(response.json()["workflowId"])

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(post)
    documents = [await service.finished(workflow_id) for workflow_id in workflow_ids]
    failed = [document for document in documents if document["status"] == "failed"]
    assert [document["status"] for document in documents].count("completed") == 1
    assert len(failed) == 49
    assert {document["error"]["code"] for document in failed} == {"duplicate-email"}
    assert {document["error"]["errors"][0]["field"] for document in failed} == {"adminUser.email"}
    email = body["adminUser"]["email"]
    assert await database.fetchval("SELECT count(*) FROM users WHERE email = $1", email) == 1
    for document in failed[:5]:
        assert await row_counts(database, document["tenantId"]) == {}


@in_both_shapes
async def test_a_taken_tenant_id_is_rejected_and_its_tenant_unchanged(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = (await service.provision())["tenantId"]
    before = await fingerprints(database)
    problem = await service.create(expected=409, tenantId=tenant_id)
    assert problem["errors"][0]["field"] == "tenantId"
    assert await fingerprints(database) == before


@in_both_shapes
async def test_every_tenant_scoped_table_of_alga_is_compared(database: asyncpg.Connection) -> None:
    assert len(await tenant_tables(database)) == 459


async def _roles(database: asyncpg.Connection, tenant_id: str) -> list[tuple[Any, ...]]:
    rows = await database.fetch("SELECT role_name, msp, client FROM roles WHERE tenant = $1", tenant_id)
    return sorted(map(tuple, rows))


async def _permissions(database: asyncpg.Connection, tenant_id: str) -> list[tuple[Any, ...]]:
    rows = await database.fetch("SELECT resource, action, msp, client FROM permissions WHERE tenant = $1", tenant_id)
    return sorted(map(tuple, rows))


async def _grants(database: asyncpg.Connection, tenant_id: str) -> dict[str, list[tuple[Any, ...]]]:
    rows = await database.fetch(
        "SELECT r.role_name || CASE WHEN r.client THEN '/client' ELSE '/msp' END AS role,"
        " p.resource, p.action, p.msp, p.client FROM role_permissions rp"
        " JOIN roles r ON r.tenant = rp.tenant AND r.role_id = rp.role_id"
        " JOIN permissions p ON p.tenant = rp.tenant AND p.permission_id = rp.permission_id WHERE rp.tenant = $1",
        tenant_id,
    )
    grants: dict[str, list[tuple[Any, ...]]] = {}
    for role, *granted in rows:
        grants.setdefault(role, []).append(tuple(granted))
    return {role: sorted(granted) for role, granted in grants.items()}


async def _compare(database: asyncpg.Connection, tenant_id: str, table: str, expected: list[dict[str, Any]]) -> None:
    stored = await database.fetch(f'SELECT to_jsonb(t) AS row FROM "{table}" t WHERE tenant = $1', tenant_id)  # noqa: S608
    # Numeric 0.0000 and 0 are the same percentage.
    rows = [json.loads(row["row"], parse_float=_number) for row in stored]
    skipped = NOT_COMPARED.get(table, set())
    compared = {
        name for row in expected for name, value in row.items() if value not in VOLATILE and name not in skipped
    }

    def reduced(records: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps({name: row.get(name) for name in compared}, sort_keys=True) for row in records)

    assert reduced(rows) == reduced(expected), table
    known = {name for row in expected for name in row} | {"tenant"}
    unexpected = {name for row in rows for name, value in row.items() if value is not None} - known
    assert unexpected <= {"description", "updated_at", "created_at"}, table


def _number(written: str) -> float:
    value = float(written)
    return int(value) if value.is_integer() else value
