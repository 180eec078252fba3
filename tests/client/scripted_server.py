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
STATUS_PATH = f"/tenants/{WORKFLOW_ID}/status"
STEPS = ("initializing", "creating_tenant", "running_onboarding_seeds", "creating_admin_user", "setting_up_data")


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


def document(status: str = "running", **changes: Any) -> dict[str, Any]:
    """A status document."""
    is_final = status in {"completed", "cancelled", "failed"}
    return {
        "workflowId": WORKFLOW_ID,
        "tenantId": "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11",
        "kind": "tenant_creation",
        "status": status,
        "step": "creating_tenant",
        "progress": 100 if status == "completed" else 15,
        "steps": [
            {"name": name, "status": "pending", "startedAt": None, "finishedAt": None, "attempts": 0}
            for name in STEPS
        ],
        "error": None,
        "result": RESULT if status == "completed" else None,
        "requestedBy": "key:ops",
        "cancelledBy": None,
        "cancelReason": None,
        "startedAt": "2026-01-31T12:00:00Z",
        "updatedAt": "2026-01-31T12:00:01.500000Z",
        "finishedAt": "2026-01-31T12:00:01.500000Z" if is_final else None,
        "cancellable": not is_final,
        "source": "temporal",
        "links": {"self": STATUS_PATH} | ({} if is_final else {"cancel": f"/tenants/{WORKFLOW_ID}"}),
        **changes,
    }


RESULT = {
    "tenantId": "8d3f0a52-5c1e-4c52-9b0e-3f6f3e6d2a11",
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
    """The `error` of a status document."""
    return {"type": f"/problems/{code}", "title": code, "status": 409, "detail": detail, "code": code, **more}
