import json
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest

from tests.app.gateway.requests import assert_problem, create, tenant, tenant_with_admin
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def test_a_repeated_request_returns_the_same_operation(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    body = tenant()
    first = await http.post("/tenants", json=body, headers=key)
    again = await http.post("/tenants", json=body, headers=key)
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    assert again.json() == first.json()


async def test_a_generated_password_is_returned_only_once(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    body = tenant_with_admin(password=None)
    first, again = await create(http, body, **key), await create(http, body, **key)
    assert first["tenantId"] == again["tenantId"]
    assert "temporaryPassword" in first
    assert "temporaryPassword" not in again


@pytest.mark.parametrize("change", [{"tenantName": "Another"}, {"licenseCount": 3}], ids=["changed", "added"])
async def test_another_body_with_the_same_key_is_rejected(
    http: httpx.AsyncClient, key: dict[str, str], change: dict[str, Any]
) -> None:
    body = tenant()
    await create(http, body, **key)
    response = await http.post("/tenants", json={**body, **change}, headers=key)
    assert_problem(response, 422, "idempotency-key-reused")


async def test_another_password_is_another_body(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    body = tenant()
    await create(http, body, **key)
    admin = {**body["adminUser"], "password": "another password"}
    response = await http.post("/tenants", json={**body, "adminUser": admin}, headers=key)
    assert_problem(response, 422, "idempotency-key-reused")


async def test_an_equivalent_body_is_the_same_request(http: httpx.AsyncClient, key: dict[str, str]) -> None:
    body = tenant()
    first = await create(http, body, **key)
    again = await create(http, {"tenant_name": " Acme ", "adminUser": body["adminUser"], "productCode": "psa"}, **key)
    assert again["tenantId"] == first["tenantId"]


async def test_two_callers_may_use_the_same_key(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, key: dict[str, str]
) -> None:
    body = tenant()
    mine = await create(http, body, **key)
    async with gateway.client(**{"X-API-Key": (await keys.create("another")).key}) as other:
        theirs = await create(other, body, **key)
    assert theirs["tenantId"] != mine["tenantId"]


async def test_a_repeated_request_does_not_conflict_with_its_own_tenant_id(
    http: httpx.AsyncClient, key: dict[str, str]
) -> None:
    body = tenant(tenantId=str(uuid4()))
    first, again = await create(http, body, **key), await create(http, body, **key)
    assert first["workflowId"] == again["workflowId"]


async def test_fifty_concurrent_requests_with_one_key_create_one_tenant(
    http: httpx.AsyncClient, key: dict[str, str]
) -> None:
    body = {**tenant_with_admin(password=None), "tenantName": f"Requested fifty times {uuid4()}"}
    documents: list[dict[str, Any]] = []

    async def send() -> None:
        documents.append(await create(http, body, **key))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(send)
    assert len({document["workflowId"] for document in documents}) == 1
    assert len({document["tenantId"] for document in documents}) == 1
    assert sum("temporaryPassword" in document for document in documents) == 1
    listed = await http.get("/operations", params={"name": body["tenantName"]})
    assert [operation["workflowId"] for operation in listed.json()["operations"]] == [documents[0]["workflowId"]]


@pytest.mark.parametrize("invalid", [b"", b"x" * 256, b"with space", b"t\tab", "naïve".encode()], ids=range(5))
async def test_an_invalid_key_is_rejected(http: httpx.AsyncClient, invalid: bytes) -> None:
    headers = [(b"Idempotency-Key", invalid), (b"Content-Type", b"application/json")]
    response = await http.post("/tenants", content=json.dumps(tenant()), headers=headers)
    assert_problem(response, 400, "bad-idempotency-key")
