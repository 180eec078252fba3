"""A real HTTP server that gives the answers a test wants: those of a gateway in trouble can't be had otherwise."""

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
class Answer:
    """`body` is JSON, or bytes as they are; `delay` is in seconds; a `hang_up` closes the connection instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False


@dataclass(frozen=True)
class Received:
    """A request as it came; `at` is the monotonic clock."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any
    at: float


class ScriptedServer:
    """Answers each method and path with its answers in their order, the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[Received] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}
        self._changed = threading.Condition()

    def script(self, method: str, path: str, *answers: Answer) -> None:
        """Set the answers for a method and a path, as it is encoded on the wire."""
        self._answers[method, path] = list(answers)

    def wait_for_requests(self, count: int) -> None:
        """Return once so many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, timeout=20)

    def take(self, request: Received) -> Answer:
        """Note the request and choose its answer."""
        with self._changed:
            self.received.append(request)
            self._changed.notify_all()
            answers = self._answers.get((request.method, request.path), [Answer(501)])
            return answers.pop(0) if len(answers) > 1 else answers[0]


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """A server that runs while the block does."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            answer = script.take(self._request())
            time.sleep(answer.delay)
            if answer.hang_up:
                self.close_connection = True
                return
            # A test's client may have given up meanwhile.
            with suppress(ConnectionError):
                self._answer(answer)

        def _request(self) -> Received:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Received(self.command, url.path, parse_qsl(url.query), headers, body, time.monotonic())

        def _answer(self, answer: Answer) -> None:
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            has_content = answer.status not in {204, 304}
            if has_content:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if has_content:
                self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def summary(status: str = "running", **changes: Any) -> dict[str, Any]:
    """An operation as lists show it."""
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
    """An operation document."""
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
    """A tenant as the database has it."""
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


RESULT = {
    "tenantId": TENANT_ID,
    "adminUserId": "0b6c0f0e-6c43-5d0a-8a54-2f7a3f1f9c01",
    "clientId": "4f1d8a1c-9d35-5f3b-b1fb-7c1f2b9c7d02",
    "createdAt": "2026-01-31T12:00:00.300000Z",
}


def problem(status: int, code: str, detail: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Answer:
    """A problem document as an answer."""
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
    return Answer(status, body, {"Content-Type": "application/problem+json", **(headers or {})})


def operation_error(code: str, detail: str, **more: Any) -> dict[str, Any]:
    """The `error` of an operation."""
    return {"type": f"/problems/{code}", "title": code, "status": 409, "detail": detail, "code": code, **more}
