"""A caller that is bound to a tenant can see and change only that tenant."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.auth.keys.management import CreatedKey
from app.auth.scopes import Scope
from tests.app.gateway.exports.archived import SNAPSHOT, add_export
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.rows import record
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

# A request of a bound caller for each route; a new route needs one. The tenant id becomes the other tenant's.
REQUESTS: dict[tuple[str, str], list[Any]] = {
    ("POST", "/tenants"): [tenant(tenantId="theirs"), tenant()],
    ("GET", "/tenants/{id}"): [None],
    ("GET", "/tenants/{id}/footprint"): [None],
    ("GET", "/tenants/{id}/users"): [None],
    ("GET", "/tenants/{id}/status"): [None],
    ("POST", "/tenants/{id}/welcome-email"): [None, {}],
    ("PUT", "/tenants/{id}/suspension"): [{"reason": "not yours"}],
    ("DELETE", "/tenants/{id}/suspension"): [None],
    ("PATCH", "/tenants/{id}/licence"): [{"licenseCount": 3}],
    ("PUT", "/tenants/{id}/addons/{key}"): [None, {}],
    ("DELETE", "/tenants/{id}/addons/{key}"): [None],
    ("POST", "/tenants/{id}/deletion"): [{"reason": "not yours", "export": False}],
    ("GET", "/tenants/{id}/deletion"): [None],
    ("POST", "/tenants/{id}/deletion/confirm"): [None, {}],
    ("POST", "/tenants/{id}/deletion/undo"): [None, {"reason": "not yours"}],
    ("GET", "/tenants/{id}/deletion/certificate"): [None],
    ("POST", "/tenants/{id}/product-change"): [{"productCode": "psa"}],
    ("GET", "/tenants/{id}/product-change"): [None],
    ("POST", "/tenants/{id}/exports"): [None, {"includeSecrets": True}],
    ("GET", "/tenants/{id}/exports"): [None],
    ("GET", "/exports/{id}"): [None],
    ("DELETE", "/exports/{id}"): [None],
    ("GET", "/exports/{id}/manifest"): [None],
    ("GET", "/exports/{id}/parts/{table}"): [None],
    ("GET", "/exports/{id}/content"): [None],
    ("POST", "/restores"): [{"exportId": "theirs"}],
    ("GET", "/operations/{id}"): [None],
    ("GET", "/operations/{id}/events"): [None],
    ("DELETE", "/operations/{id}"): [{"reason": "not yours"}],
    ("PATCH", "/operations/{id}"): [{"tenantName": "Taken over"}],
    ("POST", "/operations/{id}/resume"): [None],
    ("POST", "/codec/decode"): [{"payloads": []}],
    ("POST", "/api-keys"): [{"name": "theirs", "tenantId": "theirs"}, {"name": "everybody's"}],
    ("GET", "/api-keys/{key_id}"): [None],
    ("DELETE", "/api-keys/{key_id}"): [None],
    ("POST", "/api-keys/{key_id}/rotate"): [{"overlapHours": 0}],
}
# The same by workflow id. A tenant id in its place is always rejected.
BY_WORKFLOW: dict[tuple[str, str], list[Any]] = {
    ("DELETE", "/tenants/{id}"): [{"reason": "not yours"}],
    ("GET", "/tenants/{id}/status"): [None],
}
# These are for callers that are bound to no tenant.
UNBOUND: dict[tuple[str, str], Any] = {
    ("POST", "/webhooks"): {"url": "https://hooks.example.com/theirs"},
    ("GET", "/webhooks"): None,
    ("GET", "/webhooks/{id}"): None,
    ("PATCH", "/webhooks/{id}"): {"isPaused": True},
    ("DELETE", "/webhooks/{id}"): None,
    ("POST", "/webhooks/{id}/rotate-secret"): None,
    ("POST", "/webhooks/{id}/test"): None,
    ("GET", "/webhooks/{id}/deliveries"): None,
    ("POST", "/webhooks/{id}/replay"): None,
    ("POST", "/webhooks/{id}/deliveries/{event_id}/replay"): None,
}
# These have tests of their own, below and in those of the audit events and of the directory.
LISTS = {
    ("GET", "/tenants"),
    ("GET", "/tenants/counts"),
    ("GET", "/operations"),
    ("GET", "/operations/counts"),
    ("GET", "/exports"),
    ("GET", "/api-keys"),
    ("GET", "/audit-events"),
}
# These show the same to every caller.
OF_NO_TENANT = {("GET", "/options")}


@pytest.fixture
async def theirs(http: httpx.AsyncClient) -> dict[str, Any]:
    """Another tenant's operation, which makes no progress."""
    return await create(http)


@pytest.fixture
async def their_key(keys: Keys, theirs: dict[str, Any]) -> CreatedKey:
    """A key that is bound to the other tenant."""
    return await keys.create("theirs", tenant_id=UUID(theirs["tenantId"]))


@pytest.fixture
async def their_export(theirs: dict[str, Any], database: asyncpg.Connection) -> str:
    """A complete export of the other tenant."""
    export_id = uuid4()
    await add_export(database, export_id, UUID(theirs["tenantId"]), "completed", completed_at=SNAPSHOT)
    return str(export_id)


@pytest.fixture
def own_tenant() -> UUID:
    return uuid4()


@pytest.fixture
async def bound(gateway: RunningGateway, keys: Keys, own_tenant: UUID) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with all scopes, for its own tenant."""
    key = (await keys.create("bound", tenant_id=own_tenant)).key
    async with gateway.client(**{"X-API-Key": key}) as client:
        yield client


async def everything(database: asyncpg.Connection) -> list[Any]:
    tables = {
        "operations": "workflow_id, run_id",
        "cancellations": "workflow_id",
        "exports": "export_id",
        "idempotency_keys": "key_digest",
        "webhooks": "webhook_id",
        "webhook_secrets": "webhook_id, secret_id",
        "deliveries": "webhook_id, event_id",
    }
    found = [
        await database.fetch(f"SELECT * FROM alga_tenants.{table} ORDER BY {order}")  # noqa: S608 - named above
        for table, order in tables.items()
    ]
    unused = "SELECT key_id, name, scopes, tenant_id, expires_at, revoked_at FROM alga_tenants.api_keys"
    return [*found, await database.fetch(f"{unused} ORDER BY key_id")]


def routes(gateway: RunningGateway) -> set[tuple[str, str]]:
    """Return every route that requires a caller."""
    paths: dict[str, dict[str, Any]] = gateway.app.openapi()["paths"]
    return {
        (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if operation["security"]
    }


async def known_to_temporal(client: Client) -> set[tuple[str, int]]:
    """Return every workflow with the length of its history, which grows with each signal."""
    return {(workflow.id, workflow.history_length) async for workflow in client.list_workflows()}


def test_every_route_is_tried_by_a_bound_caller(gateway: RunningGateway) -> None:
    assert routes(gateway) == {*REQUESTS, *BY_WORKFLOW, *UNBOUND, *LISTS, *OF_NO_TENANT}


async def test_every_route_hides_another_tenant_and_leaves_it_alone(  # noqa: PLR0917 - pytest passes them by name
    bound: httpx.AsyncClient,
    theirs: dict[str, Any],
    their_key: CreatedKey,
    their_export: str,
    database: asyncpg.Connection,
    temporal_client: Client,
) -> None:
    before = await everything(database)
    workflows = await known_to_temporal(temporal_client)
    for (method, template), bodies in [*REQUESTS.items(), *BY_WORKFLOW.items()]:
        is_tenant = template.startswith("/tenants") and (method, template) not in BY_WORKFLOW
        theirs_id = theirs["tenantId"] if is_tenant else theirs["workflowId"]
        if template.startswith("/exports"):
            theirs_id = their_export
        path = template.format(id=theirs_id, key_id=their_key.record.key_id, table="users", key="teams")
        for body in bodies:
            hidden = {"tenantId": theirs["tenantId"], "exportId": their_export}
            sent = body and {name: hidden.get(name, value) for name, value in body.items()}
            response = await bound.request(method, path, json=sent)
            assert response.status_code == 404, (method, path, response.text)
    assert await everything(database) == before
    assert await known_to_temporal(temporal_client) == workflows
    described = await temporal_client.get_workflow_handle(theirs["workflowId"]).describe()
    assert described.history_length == 2, "started, and one task waits"


@pytest.fixture
async def a_webhook(http: httpx.AsyncClient) -> AsyncIterator[str]:
    """A webhook for the events of all tenants."""
    created = await http.post("/webhooks", json={"url": "https://hooks.example.com/all"})
    webhook_id = created.json()["id"]
    yield webhook_id
    assert (await http.delete(f"/webhooks/{webhook_id}")).status_code == 204


async def test_what_concerns_all_tenants_is_refused(
    bound: httpx.AsyncClient, http: httpx.AsyncClient, a_webhook: str, database: asyncpg.Connection
) -> None:
    event = (await http.post(f"/webhooks/{a_webhook}/test")).json()["eventId"]
    before = await everything(database)
    for (method, template), body in UNBOUND.items():
        response = await bound.request(method, template.format(id=a_webhook, event_id=event), json=body)
        assert_problem(response, 403, "unbound-caller-required")
        assert "hooks.example.com" not in response.text
    assert await everything(database) == before


async def test_hidden_and_missing_things_get_the_same_response(
    bound: httpx.AsyncClient, theirs: dict[str, Any]
) -> None:
    hidden = (await bound.get(f"/operations/{theirs['workflowId']}")).json()
    unknown = (await bound.get(f"/operations/tenant-creation-{uuid4()}")).json()
    assert hidden.keys() == unknown.keys()
    differing = {name for name in hidden if hidden[name] != unknown[name]}
    assert differing == {"instance", "requestId"}


async def test_lists_show_only_the_own_tenant(  # noqa: PLR0917 - pytest passes them by name
    bound: httpx.AsyncClient,
    theirs: dict[str, Any],
    their_key: CreatedKey,
    their_export: str,
    own_tenant: UUID,
    database: asyncpg.Connection,
) -> None:
    own = await record(database, tenant_id=own_tenant, workflow_id=f"tenant-creation-{own_tenant}")
    listed = (await bound.get("/operations", params={"pageSize": 200})).json()["operations"]
    assert [operation["workflowId"] for operation in listed] == [own]
    assert theirs["workflowId"] != own
    assert (await bound.get("/operations/counts")).json()["total"] == 1
    assert (await bound.get("/tenants/counts")).json()["total"] == 0
    own_export = uuid4()
    await add_export(database, own_export, own_tenant, "completed", completed_at=SNAPSHOT)
    exports = (await bound.get("/exports")).json()["exports"]
    assert [export["exportId"] for export in exports] == [str(own_export)]
    assert their_export != str(own_export)
    for path, field in (("/exports", "exports"), ("/operations", "operations")):
        assert (await bound.get(path, params={"tenantId": theirs["tenantId"]})).json()[field] == []
    of_theirs = await bound.get("/operations/counts", params={"tenantId": theirs["tenantId"]})
    assert of_theirs.json()["total"] == 0
    shown = (await bound.get("/api-keys")).json()["keys"]
    assert {key["tenantId"] for key in shown} == {str(own_tenant)}
    assert their_key.record.key_id not in {key["id"] for key in shown}


async def test_the_own_tenant_is_created_read_and_cancelled(bound: httpx.AsyncClient, own_tenant: UUID) -> None:
    created = await create(bound, tenant(tenantId=str(own_tenant)))
    assert (await bound.get(created["links"]["self"])).json()["tenantId"] == str(own_tenant)
    assert (await bound.delete(created["links"]["cancel"])).status_code == 202


async def test_an_operation_without_a_known_tenant_is_hidden(
    bound: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, tenant_id=None)
    assert_problem(await bound.get(f"/operations/{workflow_id}"), 404, "operation-not-found")


async def test_a_bound_caller_creates_only_keys_of_its_own_tenant(bound: httpx.AsyncClient, own_tenant: UUID) -> None:
    response = await bound.post(
        "/api-keys", json={"name": "second", "tenantId": str(own_tenant), "scopes": [Scope.TENANTS_READ]}
    )
    assert response.status_code == 201
    assert response.json()["tenantId"] == str(own_tenant)
    rotated = await bound.post(f"{response.headers['location']}/rotate")
    assert rotated.status_code == 201
    assert rotated.json()["tenantId"] == str(own_tenant)
