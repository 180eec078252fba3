"""The documents that the tests of terminal output show: ids and times are fixed."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from app.cli.rendering.audit import print_audit_events
from app.cli.rendering.deletions import show_deletion
from app.cli.rendering.exports import print_exports
from app.cli.rendering.findings import print_findings
from app.cli.rendering.keys import print_keys
from app.cli.rendering.operations import print_operations, show_operation
from app.cli.rendering.tenants import print_tenants, print_users, show_footprint, show_tenant
from app.cli.rendering.webhooks import print_deliveries, print_webhooks
from app.client import (
    ApiKey,
    AuditEvent,
    Deletion,
    Delivery,
    Export,
    Footprint,
    Operation,
    OperationSummary,
    Tenant,
    User,
    Webhook,
)
from app.doctor import Finding
from tests.app.client.archive import EXPORT_ID, export
from tests.app.client.scripted_server import (
    DELETION_ID,
    RESULT,
    STEPS,
    TENANT_ID,
    WORKFLOW_ID,
    deletion,
    details,
    document,
    footprint,
    operation_error,
    summary,
    tenant,
    user,
)
from tests.app.client.webhook_documents import EVENT_ID, WEBHOOK_ID, delivery, failed_attempt, webhook

Show = Callable[[Console], None]

LONG_NAME = "A name that is as long as names of companies can be, and longer"
KEY_ID = "oYQeFA0ilsds"
REFUSED = operation_error("duplicate-email", "another internal user has the administrator's e-mail already")
UNREACHABLE = operation_error("database-unavailable", "the server can't be reached", step="create_tenant")
MAIL_WARNING = {"code": "mail-refused", "detail": "to send it again: POST /tenants/x/welcome-email", "step": None}

OPERATIONS = [
    summary("completed"),
    summary("completed", tenantName="Globex", warnings=[MAIL_WARNING]),
    summary("running", tenantName="Initech"),
    summary("awaiting_confirmation", tenantName=LONG_NAME, kind="tenant_deletion", workflowId=DELETION_ID),
    summary("failed", tenantName="Umbrella", error=REFUSED),
    summary("cancelled", tenantName="東京電力ホールディングス"),
]
TENANTS = [tenant(), tenant(name=LONG_NAME, state="deletion_scheduled"), tenant(name="Solo", plan=None)]
USERS = [user(), user(email=f"{'x' * 60}@acme.example", isInactive=True, roles=[])]
EXPORTS = [export(), export(state="cancelled", tenantName=LONG_NAME)]
WEBHOOKS = [webhook(), webhook(url=f"https://example.com/{'x' * 80}", state="failing", eventTypes=[])]
DELIVERIES = [
    delivery(),
    delivery(
        type="operation.awaiting_confirmation",
        attempts=[failed_attempt(number) for number in range(1, 4)],
        nextTryAt="2026-01-31T14:00:00Z",
    ),
]
SCOPES = ["tenants:create", "tenants:read", "tenants:cancel", "tenants:manage", "keys:manage", "audit:read"]
KEYS = [
    {"id": KEY_ID, "name": "admin UI", "state": "active", "scopes": SCOPES, "createdAt": "2026-01-31T12:00:00Z"},
    {
        "id": "b1CdEf2GhIjK",
        "name": LONG_NAME,
        "state": "expired",
        "scopes": ["tenants:read"],
        "tenantId": TENANT_ID,
        "createdAt": "2026-01-31T12:00:00Z",
        "expiresAt": "2026-02-28T12:00:00Z",
        "lastUsedAt": "2026-02-01T09:30:00Z",
    },
]
EVENT = {
    "sequence": 1041,
    "id": "3f0a52d8-5c1e-4c52-9b0e-3f6f3e6d2a11",
    "occurredAt": "2026-01-31T12:00:00Z",
    "action": "tenant.create",
    "outcome": "accepted",
    "caller": f"key:{KEY_ID}",
    "workflowId": WORKFLOW_ID,
    "address": "192.0.2.7",
}
EVENTS = [
    EVENT,
    {**EVENT, "sequence": 1040, "action": "operation.cancel", "onBehalfOf": "Ada Byron", "workflowId": DELETION_ID},
    {
        **EVENT,
        "sequence": 1039,
        "action": "request.denied",
        "outcome": "denied",
        "caller": "anonymous",
        "workflowId": None,
        "method": "GET",
        "path": "/tenants",
        "reason": "invalid-credential",
        "count": 17,
    },
]
FINDINGS = [
    Finding("ok", "settings", "complete"),
    Finding(
        "warning",
        "database (DATABASE_URL)",
        "may read and write our tables, but may write Alga's, too: tenants, clients, tenant_companies, users, roles",
        "give the gateway a role of its own, which only reads Alga's tables; docs/security.md has the SQL",
    ),
    Finding("error", "forged API keys", f"1 row(s) that this service did not write: {KEY_ID}", "see `keys reseal`"),
    Finding(
        "error",
        "Temporal",
        "Temporal at temporal.example:7233 can't be used: its host name can't be resolved",
        "check the host in TEMPORAL_ADDRESS, and DNS",
    ),
]


def _step(number: int, status: str, **changes: Any) -> dict[str, Any]:
    times = {"startedAt": "2026-01-31T12:00:00Z", "finishedAt": "2026-01-31T12:00:00.120000Z"}
    begun = times if status in {"completed", "failed"} else {"startedAt": None, "finishedAt": None}
    return {"name": STEPS[number], "status": status, "attempts": 0 if status == "pending" else 1, **begun, **changes}


PENDING = [_step(number, "pending") for number in range(2, 8)]
UNDONE = {"startedAt": "2026-01-31T12:00:00Z", "attempts": 3}

RETRYING = document("retrying", error=UNREACHABLE, steps=[_step(0, "completed"), _step(1, "retrying"), *PENDING])
PARKED = document(
    "needs_attention",
    error=UNREACHABLE,
    steps=[_step(0, "completed"), _step(1, "retrying", attempts=9), *PENDING],
    links={"resume": f"/operations/{WORKFLOW_ID}/resume", "cancel": f"/operations/{WORKFLOW_ID}"},
)
CANCELLED = document(
    "cancelled",
    progress=0,
    steps=[_step(0, "pending", **UNDONE), _step(1, "pending", **UNDONE), *PENDING],
    cancelledBy="key:ops",
    cancelReason="ordered by mistake",
)
ENDED_OUTSIDE = operation_error(
    "ended-outside", "the workflow was terminated in Temporal; nothing was written", step="create_tenant"
)
TERMINATED = document(
    "failed", progress=0, error=ENDED_OUTSIDE, steps=[_step(0, "pending", **UNDONE), _step(1, "failed"), *PENDING]
)
COMPLETED = document("completed", steps=[_step(number, "completed") for number in range(8)], warnings=[MAIL_WARNING])


def _documents(show: Callable[[Console, Any], None], model: Any, documents: list[Any]) -> Show:
    return lambda console: show(console, [model.model_validate(one) for one in documents])


def _document(show: Callable[[Console, Any], None], model: Any, shown: Any) -> Show:
    return lambda console: show(console, model.model_validate(shown))


# Each with the ids that must be whole.
LISTS: dict[str, tuple[tuple[str, ...], Show]] = {
    "operations": ((WORKFLOW_ID, DELETION_ID), _documents(print_operations, OperationSummary, OPERATIONS)),
    "operations-quiet": ((WORKFLOW_ID,), _documents(print_operations, OperationSummary, OPERATIONS[:1])),
    "operations-none": ((), _documents(print_operations, OperationSummary, [])),
    "tenants": ((TENANT_ID,), _documents(print_tenants, Tenant, TENANTS)),
    "users": ((str(RESULT["adminUserId"]),), _documents(print_users, User, USERS)),
    "exports": ((EXPORT_ID,), _documents(print_exports, Export, EXPORTS)),
    "webhooks": ((WEBHOOK_ID,), _documents(print_webhooks, Webhook, WEBHOOKS)),
    "deliveries": ((EVENT_ID,), _documents(print_deliveries, Delivery, DELIVERIES)),
    "keys": ((KEY_ID, TENANT_ID), _documents(print_keys, ApiKey, KEYS)),
    "audit": ((WORKFLOW_ID, DELETION_ID), _documents(print_audit_events, AuditEvent, EVENTS)),
    "doctor": ((KEY_ID,), lambda console: print_findings(console, FINDINGS)),
    "footprint": ((), _document(show_footprint, Footprint, footprint())),
}
DETAILS: dict[str, Show] = {
    "operation-retrying": _document(show_operation, Operation, RETRYING),
    "operation-parked": _document(show_operation, Operation, PARKED),
    "operation-cancelled": _document(show_operation, Operation, CANCELLED),
    "operation-terminated": _document(show_operation, Operation, TERMINATED),
    "operation-completed": _document(show_operation, Operation, COMPLETED),
    "tenant": _document(show_tenant, Tenant, details()),
    "deletion": _document(show_deletion, Deletion, deletion()),
}
