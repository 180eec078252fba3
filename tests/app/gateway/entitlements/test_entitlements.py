"""Licences and add-ons are changed over HTTP, once for each event."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import add_tenant

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("patient")]

AT_ONCE = {"Prefer": "wait=0"}
COUNT = {"licenseCount": 25, "eventId": "evt_1"}
NEXT_YEAR = (datetime.now(UTC) + timedelta(days=365)).replace(microsecond=0).isoformat().replace("+00:00", "Z")


@pytest.fixture
async def path(database: asyncpg.Connection) -> str:
    return f"/tenants/{await add_tenant(database)}"


async def changed(http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> tuple[Any, Any]:
    """Return the changed tenant, and the operation if there was one."""
    response = await http.request(method, path, json=body)
    assert response.status_code == 200, response.text
    location = response.headers.get("location")
    return response.json(), (await http.get(location)).json() if location is not None else None


async def operations_of(database: asyncpg.Connection, path: str) -> int:
    query = "SELECT count(*) FROM alga_tenants.operations WHERE tenant_id = $1"
    number: int = await database.fetchval(query, UUID(path.rpartition("/")[2]))
    return number


async def test_a_licence_is_changed_once_for_each_event(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, path: str
) -> None:
    tenant, operation = await changed(http_with_worker, "PATCH", f"{path}/licence", {**COUNT, "plan": "solo"})
    assert (tenant["licenseCount"], tenant["plan"]) == (25, "solo")
    assert (operation["kind"], operation["status"]) == ("tenant_licence_change", "completed")
    assert operation["parameters"] == {"licenseCount": 25, "plan": "solo", "eventId": "evt_1"}
    await changed(http_with_worker, "PATCH", f"{path}/licence", {"licenseCount": 30})
    tenant, operation = await changed(http_with_worker, "PATCH", f"{path}/licence", {**COUNT, "plan": "solo"})
    assert (tenant["licenseCount"], operation) == (30, None)
    refused = await http_with_worker.patch(f"{path}/licence", json={**COUNT, "licenseCount": 26})
    assert_problem(refused, 409, "event-id-used")
    assert faults(refused).keys() == {"eventId"}
    assert await operations_of(database, path) == 2


async def test_an_addon_is_granted_and_revoked(http_with_worker: httpx.AsyncClient, path: str) -> None:
    addon = f"{path}/addons/teams"
    tenant, operation = await changed(http_with_worker, "PUT", addon, {"expiresAt": NEXT_YEAR})
    assert [(line["addonKey"], line["expiresAt"]) for line in tenant["addons"]] == [("teams", NEXT_YEAR)]
    assert operation["kind"] == "tenant_addon_change"
    tenant, _ = await changed(http_with_worker, "PUT", addon)
    assert tenant["addons"][0].get("expiresAt") is None
    tenant, operation = await changed(http_with_worker, "DELETE", f"{addon}?eventId=evt_9")
    assert (tenant["addons"], operation["parameters"]["isGranted"]) == ([], False)
    assert (await changed(http_with_worker, "DELETE", f"{addon}?eventId=evt_9"))[1] is None


async def test_simultaneous_requests_with_one_event_are_one_operation(
    http_with_worker: httpx.AsyncClient, database: asyncpg.Connection, path: str
) -> None:
    requests = [http_with_worker.patch(f"{path}/licence", json=COUNT) for _ in range(20)]
    responses = await asyncio.gather(*requests)
    assert {(response.status_code, response.json()["licenseCount"]) for response in responses} == {(200, 25)}
    assert await operations_of(database, path) == 1


async def test_another_change_waits_for_the_open_one(http: httpx.AsyncClient, path: str) -> None:
    started = await http.patch(f"{path}/licence", json=COUNT, headers=AT_ONCE)
    assert started.status_code == 202, started.text
    again = await http.patch(f"{path}/licence", json=COUNT, headers=AT_ONCE)
    assert again.json()["workflowId"] == started.json()["workflowId"]
    for method, rest, body in (("PATCH", "licence", {"licenseCount": 3}), ("PUT", "addons/teams", {})):
        refused = await http.request(method, f"{path}/{rest}", json=body, headers=AT_ONCE)
        assert_problem(refused, 409, "operation-in-progress")


@pytest.mark.parametrize(
    ("request_line", "body", "field"),
    [
        ("PATCH licence", {}, "body"),
        ("PATCH licence", {"licenseCount": 0}, "licenseCount"),
        ("PATCH licence", {"licenseCount": "many"}, "licenseCount"),
        ("PATCH licence", {"plan": "gold"}, "plan"),
        ("PATCH licence", {"licenseCount": 3, "eventId": "a b"}, "eventId"),
        ("PATCH licence", {"licenseCount": 3, "seats": 3}, "seats"),
        ("PUT addons/ai-addon", {}, "key"),
        ("PUT addons/teams", {"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
        ("PUT addons/teams", {"expiresAt": "tomorrow"}, "expiresAt"),
        ("DELETE addons/Teams!", None, "key"),
        ("DELETE addons/teams?eventId=a%20b", None, "eventId"),
    ],
)
async def test_invalid_input_names_the_field(
    http: httpx.AsyncClient, path: str, request_line: str, body: Any, field: str
) -> None:
    method, rest = request_line.split()
    refused = await http.request(method, f"{path}/{rest}", json=body)
    assert_problem(refused, 422, "invalid-request")
    assert faults(refused).keys() == {field}, refused.text


async def test_an_unknown_tenant_is_not_found(http: httpx.AsyncClient) -> None:
    unknown = "/tenants/5d5b2a4e-5a53-4a3c-9b77-6b5f9c1c1a01"
    assert_problem(await http.patch(f"{unknown}/licence", json=COUNT), 404, "tenant-not-found")
    assert_problem(await http.put(f"{unknown}/addons/teams"), 404, "tenant-not-found")
