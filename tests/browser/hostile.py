"""Data that is made to break pages: markup, templates, text from right to left, and words that never end."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from app.embedded.processes.blocking import run_blocking
from tests.e2e.conftest import Service, request
from tests.e2e.obstacles import LASTING_ERROR
from workflows.tenants.steps import CREATE_TENANT

PLACED = "INSERT INTO obstacles.placed VALUES ($1, $2, $3)"
MARKUP = (
    """"'><script>window.ran = 1</script><img src=x onerror="window.ran = 1"><a href="javascript:ran()">{{7*7}}</a>"""
)
UNPRINTABLE = "\u202eRTL\u2066\u200b\u200d"
WORLD = "😀👩‍👩‍👧 שלום مرحبا 漢字 Z̗̾a̿"


def hostile(label: str, length: int = 255, *, printable: bool = False) -> str:
    """Return a text of that length; `printable` leaves out what changes the direction."""
    text = f"{label} {MARKUP} {WORLD if not printable else ''}{UNPRINTABLE if not printable else ''}"
    return text[:length].ljust(length, "W") if len(text) < length else text[:length].strip()


def ascii_only(label: str, length: int) -> str:
    """Return such a text of printable ASCII characters."""
    return f"{label} {MARKUP}".ljust(length, "W")[:length].strip()


# The person on whose behalf each request is sent.
PERSON = {"X-On-Behalf-Of": ascii_only("Mallory", 200)}
ADDON = "w" * 100
# Alga's own tables can also hold what the API refuses.
CONTROLS = "\x01\x07\x1b[31m\r\n\t\x85\u2028 "


def fill(api: httpx.Client, service: Service) -> dict[str, dict[str, str]]:
    """Create objects of every kind with such texts in all fields; return the ids of one of each, by its name."""
    created = _sent(api, "POST", "/tenants", 201, _creation(), {"Prefer": "wait=50"})
    tenant, operation = created["tenantId"], {"id": created["workflowId"]}
    run_blocking(_write_controls(service, tenant))
    suspended = _create(api)
    _sent(api, "PUT", f"/tenants/{suspended}/suspension", 200, {"reason": hostile("Unpaid", 500)})
    reason = {"reason": hostile("Ended", 500), "export": False}
    undecided, doomed, deleted = _create(api), _create(api), _create(api)
    deletion = _sent(api, "POST", f"/tenants/{undecided}/deletion", 202, reason)
    _wait(api, deletion["workflowId"], "awaiting_confirmation")
    _wait(
        api,
        _sent(api, "POST", f"/tenants/{doomed}/deletion", 202, reason | {"confirm": True})["workflowId"],
        "waiting",
    )
    now = reason | {"confirm": True, "gracePeriodDays": 0}
    _wait(api, _sent(api, "POST", f"/tenants/{deleted}/deletion", 202, now)["workflowId"], "completed")
    parked = _park(api, service)
    exporting = _sent(api, "POST", f"/tenants/{tenant}/exports", 202, {"reason": hostile("Moved", 500)})
    _wait(api, exporting["workflowId"], "completed")
    (export,) = _sent(api, "GET", f"/tenants/{tenant}/exports", 200)["exports"]
    checked = _sent(api, "POST", "/restores", 202, {"exportId": export["exportId"], "dryRun": True})["workflowId"]
    _wait(api, checked, "completed")
    url = f"https://127.0.0.1:9/{quote(hostile('hook'))}".ljust(2000, "W")
    webhook = _sent(api, "POST", "/webhooks", 201, {"url": url, "description": hostile("Hook")})["id"]
    event = _sent(api, "POST", f"/webhooks/{webhook}/test", 202)["eventId"]
    key = _sent(api, "POST", "/api-keys", 201, {"name": hostile("Key", 100, printable=True)})["id"]
    return {
        "tenants": {"id": tenant, "key": ADDON},
        "suspended": {"id": suspended},
        "undecided": {"id": undecided},
        "doomed": {"id": doomed},
        "deleted": {"id": deleted},
        "operations": operation,
        "parked": {"id": parked},
        "exports": {"id": export["exportId"]},
        "restores": {"id": export["exportId"], "run": checked},
        "audit": {"sequence": str(_sent(api, "GET", "/audit-events", 200)["events"][0]["sequence"])},
        "webhooks": {"id": webhook, "event_id": event},
        "api-keys": {"key_id": key},
    }


def _sent(  # noqa: PLR0917 - the parts of a request, in their order
    api: httpx.Client,
    method: str,
    path: str,
    status: int,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    response = api.request(method, path, json=body, headers={**PERSON, **(headers or {})})
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    return document


def _creation(**changes: Any) -> dict[str, Any]:
    body = request(
        tenantName=hostile("Tenant"), companyName=hostile("Company"), clientName=hostile("Client"), **changes
    )
    body["adminUser"] |= {"firstName": hostile("First"), "lastName": hostile("Last")}
    parts = ("line1", "line2", "city", "state", "postalCode", "phone")
    return body | {"billingAddress": {part: hostile(part) for part in parts}, "addons": [ADDON]}


def _create(api: httpx.Client) -> str:
    tenant_id: str = _sent(api, "POST", "/tenants", 201, _creation(), {"Prefer": "wait=50"})["tenantId"]
    return tenant_id


def _park(api: httpx.Client, service: Service) -> str:
    """Return an operation that needs attention."""
    tenant_id = uuid4()
    run_blocking(_execute(service, PLACED, str(tenant_id), CREATE_TENANT, LASTING_ERROR))
    workflow_id: str = _sent(api, "POST", "/tenants", 202, _creation(tenantId=str(tenant_id)))["workflowId"]
    _wait(api, workflow_id, "needs_attention")
    return workflow_id


def _wait(api: httpx.Client, workflow_id: str, status: str) -> None:
    """Return once the operation has the status."""
    with api.stream("GET", f"/operations/{workflow_id}/events") as events:
        line = ""
        for piece in events.iter_text():
            # httpx's own lines end at U+2028 and the like as well, which are in these names.
            *lines, line = (line + piece).split("\n")
            for document in (one.removeprefix("data: ") for one in lines if one.startswith("data: ")):
                if json.loads(document)["status"] == status:
                    return
    pytest.fail(f"{workflow_id} has ended, and never was {status}")


async def _write_controls(service: Service, tenant: str) -> None:
    for table, column in (("tenants", "client_name"), ("users", "last_name")):
        statement = f"UPDATE {table} SET {column} = $2 || {column} WHERE tenant = $1"  # noqa: S608 - names from here
        await _execute(service, statement, UUID(tenant), CONTROLS)


async def _execute(service: Service, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(service.installation.admin_database_url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()
