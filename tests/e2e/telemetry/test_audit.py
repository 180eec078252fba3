"""Every route that changes something leaves an audit event, even if the worker makes the change."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.embedded.processes.ports import LOOPBACK, free_port
from tests.e2e.conftest import PATIENCE, Service
from tests.e2e.obstacles import obstacle
from tests.support.waiting import wait_until
from workflows.tenants.steps import CREATE_TENANT

pytestmark = pytest.mark.anyio

PASSING = "RAISE EXCEPTION 'it will pass' USING ERRCODE = '40001'"
PERSON = "Jane Doe"
EVENTS = ["tenant.deleted"]


async def changing_routes(service: Service) -> set[tuple[str, str]]:
    document = (await service.http.get("/openapi.json")).json()
    return {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method.upper() not in {"GET", "HEAD", "OPTIONS"}
    }


async def event_of(service: Service, request_id: str) -> dict[str, Any]:
    """Return the one event of a request; the row and its event may follow the response."""
    found: list[dict[str, Any]] = []

    async def is_listed() -> bool:
        page = (await service.http.get("/audit-events", params={"pageSize": 200})).json()
        found[:] = [event for event in page["events"] if event["requestId"] == request_id]
        return bool(found)

    await wait_until(is_listed, timeout=PATIENCE, every=0.02)
    (event,) = found
    return event


async def _change_and_delete(
    service: Service, ask: Callable[..., Awaitable[None]], responses: dict[str, Any], tenant_id: str
) -> None:
    """Call the routes of living tenants: suspend, reactivate, change, export, delete, undo, and at last restore."""
    tenant = f"/tenants/{tenant_id}"
    await ask("PUT", "/tenants/{id}/suspension", f"{tenant}/suspension", {"reason": "unpaid"})
    await ask("DELETE", "/tenants/{id}/suspension", f"{tenant}/suspension")
    await ask("PATCH", "/tenants/{id}/licence", f"{tenant}/licence", {"licenseCount": 7})
    for method in ("PUT", "DELETE"):
        await ask(method, "/tenants/{id}/addons/{key}", f"{tenant}/addons/teams")
    await ask("POST", "/tenants/{id}/exports", f"{tenant}/exports")
    exported = await service.finished(responses["/tenants/{id}/exports"]["workflowId"])
    export_id = exported["result"]["exportId"]
    body = {"reason": "contract ended", "export": False}
    await ask("POST", "/tenants/{id}/deletion", f"{tenant}/deletion", body)
    await service.shown(responses["/tenants/{id}/deletion"]["workflowId"], "awaiting_confirmation")
    await ask("POST", "/tenants/{id}/deletion/confirm", f"{tenant}/deletion/confirm")
    await ask("POST", "/tenants/{id}/deletion/undo", f"{tenant}/deletion/undo")
    await service.finished(responses["/tenants/{id}/deletion"]["workflowId"])
    purged = await service.http.post(f"{tenant}/deletion", json={**body, "gracePeriodDays": 0, "confirm": True})
    await service.finished(purged.json()["workflowId"])
    await ask("POST", "/restores", "/restores", {"exportId": export_id})
    await service.finished(responses["/restores"]["workflowId"])
    await ask("DELETE", "/exports/{id}", f"/exports/{export_id}")


async def _manage_webhook(ask: Callable[..., Awaitable[None]], responses: dict[str, Any]) -> None:
    """Call the routes of webhooks. Nothing listens at the URL."""
    await ask("POST", "/webhooks", "/webhooks", {"url": f"http://{LOOPBACK}:{free_port()}/", "eventTypes": EVENTS})
    webhook = responses["/webhooks"]["links"]["self"]
    await ask("POST", "/webhooks/{id}/test", f"{webhook}/test")
    event_id = responses["/webhooks/{id}/test"]["eventId"]
    replay = "/webhooks/{id}/deliveries/{event_id}/replay"
    await ask("POST", replay, f"{webhook}/deliveries/{event_id}/replay")
    await ask("POST", "/webhooks/{id}/replay", f"{webhook}/replay")
    await ask("POST", "/webhooks/{id}/rotate-secret", f"{webhook}/rotate-secret")
    await ask("PATCH", "/webhooks/{id}", webhook, {"isPaused": True})
    await ask("DELETE", "/webhooks/{id}", webhook)


async def test_every_route_that_changes_something_leaves_its_event(
    service: Service, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    operation = f"/operations/tenant-creation-{tenant_id}"
    events: dict[tuple[str, str], dict[str, Any]] = {}
    responses: dict[str, Any] = {}

    async def ask(method: str, template: str, path: str, body: Any = None) -> None:
        request_id = f"audit-{uuid4()}"
        headers = {"X-Request-ID": request_id, "X-On-Behalf-Of": PERSON}
        response = await service.http.request(method, path, json=body, headers=headers)
        assert response.is_success, response.text
        responses[template] = response.json() if response.content else None
        events[method, template] = await event_of(service, request_id)

    async with obstacle(database, CREATE_TENANT, tenant_id, PASSING):
        admin = {"firstName": "Ada", "lastName": "Byron", "email": f"ada-{tenant_id}@acme.example"}
        await ask(
            "POST",
            "/tenants",
            "/tenants",
            {"tenantName": "Acme", "adminUser": admin, "tenantId": str(tenant_id)},
        )
        await service.shown(f"tenant-creation-{tenant_id}", "retrying")
        await ask("PATCH", "/operations/{id}", operation, {"licenseCount": 7})
        await service.shown(f"tenant-creation-{tenant_id}", "retrying")
        await ask("POST", "/operations/{id}/resume", f"{operation}/resume")
        await ask("DELETE", "/operations/{id}", operation)
    other_id = uuid4()
    async with obstacle(database, CREATE_TENANT, other_id, PASSING):
        other = await service.create(tenantId=str(other_id))
        await ask("DELETE", "/tenants/{id}", f"/tenants/{other['workflowId']}")
    complete_id = (await service.provision())["tenantId"]
    await ask("POST", "/tenants/{id}/welcome-email", f"/tenants/{complete_id}/welcome-email")
    await service.finished(responses["/tenants/{id}/welcome-email"]["workflowId"])
    desk_id = (await service.provision(productCode="algadesk"))["tenantId"]
    await ask("POST", "/tenants/{id}/product-change", f"/tenants/{desk_id}/product-change", {"productCode": "psa"})
    await _change_and_delete(service, ask, responses, complete_id)
    await ask("POST", "/api-keys", "/api-keys", {"name": "audited"})
    key = f"/api-keys/{responses['/api-keys']['id']}"
    await ask("POST", "/api-keys/{key_id}/rotate", f"{key}/rotate")
    await ask("DELETE", "/api-keys/{key_id}", key)
    await ask("POST", "/codec/decode", "/codec/decode", {"payloads": []})
    await _manage_webhook(ask, responses)

    assert set(events) == await changing_routes(service)
    assert {route: event["action"] for route, event in events.items()} == {
        ("POST", "/tenants"): "tenant.create",
        ("POST", "/tenants/{id}/welcome-email"): "tenant.welcome_email",
        ("PUT", "/tenants/{id}/suspension"): "tenant.suspend",
        ("DELETE", "/tenants/{id}/suspension"): "tenant.reactivate",
        ("POST", "/tenants/{id}/product-change"): "tenant.change_product",
        ("PATCH", "/tenants/{id}/licence"): "tenant.change_licence",
        ("PUT", "/tenants/{id}/addons/{key}"): "tenant.change_addon",
        ("DELETE", "/tenants/{id}/addons/{key}"): "tenant.change_addon",
        ("POST", "/tenants/{id}/exports"): "tenant.export",
        ("DELETE", "/exports/{id}"): "export.delete",
        ("POST", "/tenants/{id}/deletion"): "tenant.delete",
        ("POST", "/tenants/{id}/deletion/confirm"): "tenant.confirm_deletion",
        ("POST", "/tenants/{id}/deletion/undo"): "operation.cancel",
        ("POST", "/restores"): "tenant.restore",
        ("PATCH", "/operations/{id}"): "operation.change",
        ("POST", "/operations/{id}/resume"): "operation.resume",
        ("DELETE", "/operations/{id}"): "operation.cancel",
        ("DELETE", "/tenants/{id}"): "operation.cancel",
        ("POST", "/codec/decode"): "payloads.decode",
        ("POST", "/api-keys"): "key.create",
        ("POST", "/api-keys/{key_id}/rotate"): "key.rotate",
        ("DELETE", "/api-keys/{key_id}"): "key.revoke",
        ("POST", "/webhooks"): "webhook.create",
        ("PATCH", "/webhooks/{id}"): "webhook.change",
        ("DELETE", "/webhooks/{id}"): "webhook.delete",
        ("POST", "/webhooks/{id}/rotate-secret"): "webhook.rotate",
        ("POST", "/webhooks/{id}/test"): "webhook.test",
        ("POST", "/webhooks/{id}/replay"): "webhook.replay",
        ("POST", "/webhooks/{id}/deliveries/{event_id}/replay"): "webhook.replay",
    }
    for event in events.values():
        assert (event["outcome"], event["onBehalfOf"], event["address"]) == ("accepted", PERSON, "127.0.0.1")
        assert event["caller"].startswith("key:")
    of_operation = [
        event for (_, template), event in events.items() if template.startswith(("/tenants", "/operations"))
    ]
    assert {event["tenantId"] for event in of_operation} == {str(tenant_id), str(other_id), complete_id, desk_id}
    assert events["PATCH", "/operations/{id}"]["details"] == {"changed": ["licenseCount"]}
