"""A real HTTP server with scripted responses, such as those of a failing gateway."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

WORKFLOW_ID = "tenant-creation-8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11"
TENANT_ID = "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11"
OPERATION_PATH = f"/operations/{WORKFLOW_ID}"
RESUME_PATH = f"{OPERATION_PATH}/resume"
TENANT_PATH = f"/tenants/{TENANT_ID}"
DELETION_ID = "tenant-deletion-2f4a092b-f990-5660-bd63-c9c1efad9f94"
DELETION_PATH = f"/operations/{DELETION_ID}"
STEPS = (
    "validate",
    "create_tenant",
    "apply_blueprint",
    "create_admin_user",
    "set_up_data",
    "track_customer",
    "send_welcome_email",
    "complete",
)


@dataclass(frozen=True)
class Reply:
    """A response; `body` is JSON or raw bytes, `delay` is in seconds, `hang_up` closes the connection instead.

    With `cut_after`, the connection is closed after so many bytes of the body.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False
    cut_after: int | None = None


@dataclass(frozen=True)
class Received:
    """A received request; `at` is the monotonic time."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    at: float


class ScriptedServer:
    """Responds to each method and path with its scripted replies in order, and repeats the last one."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self._replies: dict[tuple[str, str], list[Reply]] = {}
        self._changed = threading.Condition()

    def script(self, method: str, path: str, *replies: Reply) -> None:
        """Set the replies for a method and a path; the path is percent-encoded."""
        self._replies[method, path] = list(replies)

    def wait_for_requests(self, count: int) -> None:
        """Return once this many requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, timeout=20)

    def take(self, request: Received) -> Reply:
        """Record the request and return its reply."""
        with self._changed:
            self.received.append(request)
            self._changed.notify_all()
            replies = self._replies.get((request.method, request.path), [Reply(501)])
            return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a server for the duration of the block."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            reply = script.take(self._request())
            time.sleep(reply.delay)
            if reply.hang_up:
                self.close_connection = True
                return
            # The client under test may have timed out meanwhile.
            with suppress(ConnectionError):
                self._send(reply)

        def _request(self) -> Received:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Received(self.command, url.path, parse_qsl(url.query), headers, body, time.monotonic())

        def _send(self, reply: Reply) -> None:
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            has_content = reply.status not in {204, 304}
            if has_content:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if has_content:
                self.wfile.write(content[: reply.cut_after])
            self.close_connection = self.close_connection or reply.cut_after is not None

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Keep the test output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def deletion(status: str = "awaiting_confirmation", **changes: Any) -> dict[str, Any]:
    """Return the newest deletion of a tenant."""
    path = f"{TENANT_PATH}/deletion"
    return {
        "tenantId": TENANT_ID,
        "tenantName": "Acme",
        "workflowId": DELETION_ID,
        "reason": "contract ended",
        "triggerSource": "manual",
        "gracePeriodDays": 30,
        "requestedAt": "2026-01-31T12:00:00Z",
        "requestedBy": "Ada Byron",
        "requestedVia": "key:ops",
        "confirmedAt": None,
        "confirmedBy": None,
        "confirmedVia": None,
        "needsSecondPerson": False,
        "scheduledFor": None,
        "undoneAt": None,
        "deletedAt": None,
        "external": None,
        "operation": deleting(status),
        "links": {"operation": DELETION_PATH, "confirm": f"{path}/confirm", "undo": f"{path}/undo"},
        **changes,
    }


def deleting(status: str = "awaiting_confirmation", **changes: Any) -> dict[str, Any]:
    """Return the operation of a deletion."""
    changes = {"step": "await_confirmation", **changes}
    return document(status, workflowId=DELETION_ID, kind="tenant_deletion", steps=[], **changes)


def summary(status: str = "running", **changes: Any) -> dict[str, Any]:
    """Return an operation as lists show it."""
    is_final = status in {"completed", "cancelled", "failed"}
    is_committed = status == "completed"
    links = {"self": OPERATION_PATH}
    if is_committed:
        links["tenant"] = TENANT_PATH
    elif not is_final:
        links["cancel"] = OPERATION_PATH
    return {
        "workflowId": WORKFLOW_ID,
        "kind": "tenant_creation",
        "tenantId": TENANT_ID,
        "tenantName": "Acme",
        "productCode": "psa",
        "status": status,
        "step": "create_tenant",
        "progress": 100 if is_committed else 15,
        "error": None,
        "warnings": [],
        "requestedBy": "key:ops",
        "requestedVia": "key:ops",
        "cancelledBy": None,
        "cancelledVia": None,
        "cancelReason": None,
        "startedAt": "2026-01-31T12:00:00Z",
        "committedAt": "2026-01-31T12:00:01.300000Z" if is_committed else None,
        "updatedAt": "2026-01-31T12:00:01.500000Z",
        "finishedAt": "2026-01-31T12:00:01.500000Z" if is_final else None,
        "nextTryAt": None,
        "attentionDeadline": None,
        "cancellable": not is_final,
        "source": "temporal",
        "links": links,
        **changes,
    }


def document(status: str = "running", **changes: Any) -> dict[str, Any]:
    """Return an operation document."""
    return {
        **summary(status),
        "parameters": {"tenantName": "Acme", "licenseCount": 10},
        "steps": [
            {"name": name, "status": "pending", "startedAt": None, "finishedAt": None, "attempts": 0}
            for name in STEPS
        ],
        "result": RESULT if status == "completed" else None,
        **changes,
    }


def tenant(**changes: Any) -> dict[str, Any]:
    """Return a tenant document."""
    return {
        "tenantId": TENANT_ID,
        "name": "Acme",
        "companyName": "Acme Corporation",
        "email": "ada@acme.example",
        "productCode": "psa",
        "plan": "pro",
        "state": "active",
        "licenseCount": 10,
        "userCount": 3,
        "createdAt": "2026-01-31T12:00:01.300000Z",
        "links": {"self": TENANT_PATH, "operations": f"/operations?tenantId={TENANT_ID}"},
        **changes,
    }


def details(**changes: Any) -> dict[str, Any]:
    """Return the document of one tenant, which is being deleted."""
    deletion = {
        "state": "deletion_scheduled",
        "reason": "contract ended",
        "requestedAt": "2026-02-01T12:00:00Z",
        "requestedBy": "ada",
        "confirmedAt": None,
        "confirmedBy": None,
        "scheduledFor": None,
        "deletedAt": None,
        "link": f"{TENANT_PATH}/deletion",
    }
    subscription = {
        "billingSource": "stripe",
        "provider": "stripe",
        "externalId": "sub_1",
        "status": "active",
        "quantity": 10,
        "periodEnd": "2026-03-01T12:00:00Z",
    }
    operation = {
        "workflowId": WORKFLOW_ID,
        "kind": "tenant_creation",
        "status": "completed",
        "startedAt": "2026-01-31T12:00:00Z",
        "finishedAt": "2026-01-31T12:00:01Z",
        "link": OPERATION_PATH,
    }
    return {
        **tenant(state="deletion_scheduled"),
        "suspendedAt": "2026-02-01T12:00:00Z",
        "subscription": subscription,
        "addons": [
            {"addonKey": "ai_assistant", "activatedAt": None, "expiresAt": "2026-04-01T12:00:00Z"},
            {"addonKey": "teams", "activatedAt": None, "expiresAt": None},
        ],
        "operations": [operation],
        "deletion": deletion,
        **changes,
    }


def user(**changes: Any) -> dict[str, Any]:
    """Return a user's document."""
    return {
        "userId": RESULT["adminUserId"],
        "email": "ada@acme.example",
        "firstName": "Ada",
        "lastName": "Byron",
        "userType": "internal",
        "isInactive": False,
        "roles": ["Admin", "Technician"],
        "lastLoginAt": "2026-02-01T12:00:00Z",
        "createdAt": None,
        **changes,
    }


def footprint() -> dict[str, Any]:
    """Return a footprint's document."""
    domains = {"kind": "email_domains", "count": 2, "names": ["a.example", "b.example"], "note": "At the provider."}
    unknown: dict[str, Any] = {"kind": "temporal", "count": None, "names": [], "note": "Temporal did not respond."}
    return {
        "tenantId": TENANT_ID,
        "tables": {"clients": 3, "tenants": 1, "tickets": 12345},
        "rows": 12349,
        "external": [domains, unknown],
    }


RESULT = {
    "tenantId": TENANT_ID,
    "adminUserId": "0b6c0f0e-6c43-5d0a-8a54-2f7a3f1f9c01",
    "clientId": "4f1d8a1c-9d35-5f3b-b1fb-7c1f2b9c7d02",
    "createdAt": "2026-01-31T12:00:00.300000Z",
}


def problem(status: int, code: str, detail: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Reply:
    """Return a reply with a problem document."""
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        "instance": "/tenants",
        "code": code,
        "requestId": "r-1",
        **more,
    }
    return Reply(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


def operation_error(code: str, detail: str, **more: Any) -> dict[str, Any]:
    """Return the `error` of an operation."""
    return {"type": f"/problems/{code}", "title": code, "status": 409, "detail": detail, "code": code, **more}
