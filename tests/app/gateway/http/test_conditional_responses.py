"""Lists have an ETag, and a client that has one already gets none of the body again."""

from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.app.gateway.rows import add_tenant, record

pytestmark = pytest.mark.anyio


async def lists(http: httpx.AsyncClient, database: asyncpg.Connection) -> list[str]:
    """Return an address of each list, whose content no other test changes."""
    tenant_id = await add_tenant(database, "Listed")
    webhook = await http.post("/webhooks", json={"url": f"https://hooks.example.com/{uuid4()}"})
    assert webhook.status_code == 201, webhook.text
    hook = webhook.json()["links"]["self"]
    return [
        f"/tenants?search={tenant_id}",
        f"/tenants/counts?search={tenant_id}",
        f"/tenants/{tenant_id}/users",
        f"/tenants/{tenant_id}/exports",
        f"/operations?tenantId={tenant_id}",
        f"/operations/counts?tenantId={tenant_id}",
        f"/exports?tenantId={tenant_id}",
        "/webhooks",
        f"{hook}/deliveries",
        f"/audit-events?tenantId={tenant_id}",
        "/options",
    ]


async def test_a_list_that_the_client_has_is_not_sent_again(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    for address in await lists(http, database):
        first = await http.get(address)
        assert first.status_code == 200, (address, first.text)
        etag = first.headers["etag"]
        for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = await http.get(address, headers={"If-None-Match": given})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), address
        assert "no-store" in first.headers["cache-control"], address
        other = await http.get(address, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content), address


async def test_a_list_that_has_changed_is_sent_with_another_etag(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    addresses = (f"/operations?tenantId={tenant_id}", f"/operations/counts?tenantId={tenant_id}")
    before = [(await http.get(address)).headers["etag"] for address in addresses]
    workflow_id = await record(database, tenant_id=tenant_id, workflow_id=f"tenant-creation-{tenant_id}")
    for address, etag in zip(addresses, before, strict=True):
        changed = await http.get(address, headers={"If-None-Match": etag})
        assert changed.status_code == 200, address
        assert changed.headers["etag"] != etag
    assert workflow_id in (await http.get(addresses[0])).text


async def test_keys_are_listed_again_once_there_is_one_more(http: httpx.AsyncClient) -> None:
    first = await http.get("/api-keys")
    made = (await http.post("/api-keys", json={"name": "one more"})).json()
    second = await http.get("/api-keys", headers={"If-None-Match": first.headers["etag"]})
    assert second.status_code == 200
    assert made["id"] in {key["id"] for key in second.json()["keys"]}
