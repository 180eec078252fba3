"""A page of another origin follows an operation in Chromium, with the code of `docs/browser.md`."""

import json
import queue
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import anyio
import pytest

from app.settings import Settings
from tests.app.gateway.conftest import working
from tests.app.gateway.requests import tenant
from tests.app.gateway.server import RunningGateway
from tests.support.servers.program import need_program

pytestmark = pytest.mark.anyio

PATIENCE = 120.0
EXAMPLE = Path(__file__).parents[4] / "docs" / "browser.md"
# Cuts the first stream after its first event, and reports what the page can read of each response.
PAGE = """
<!doctype html><meta charset="utf-8"><title>Follow</title>
<script type="module">
import { follow, FollowError } from "./follow.js";
const { gateway, apiKey, request, traceparent } = PARAMETERS;
const report = (name, value) => fetch("/report", { method: "POST", body: JSON.stringify([name, value]) });
const send = window.fetch;
const sent = [];
window.fetch = async (url, options) => {
  const response = await send(url, options);
  if (!String(url).endsWith("/events")) return response;
  sent.push(options.headers["Last-Event-ID"] ?? null);
  if (sent.length > 1 || !response.body) return response;
  const reader = response.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new Response(new Blob([value]).stream(), { status: response.status, headers: response.headers });
};
try {
  const response = await fetch(`${gateway}/tenants`, {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json", traceparent,
               "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify(request),
  });
  const operation = new URL(response.headers.get("Location"), gateway);
  await report("started", [response.status, response.headers.get("Retry-After")]);
  const known = { Authorization: `Bearer ${apiKey}` };
  await report("tag", (await fetch(operation, { headers: known })).headers.get("ETag"));
  const statuses = [];
  await follow(`${operation}/events`, apiKey, (status) => {
    statuses.push(status.status);
    report("status", status);
  });
  await report("followed", [statuses, sent]);
  await follow(`${operation}/events`, "at_unknown", () => {}).catch((error) =>
    report("refused", [error instanceof FollowError, error.problem?.status]));
  const refused = await fetch(operation, { headers: { Authorization: "Bearer at_unknown" } });
  await report("challenge", refused.headers.get("WWW-Authenticate"));
} catch (error) {
  await report("error", String(error));
}
</script>
"""


class Origin:
    """A web server with the page, which collects the page's reports."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, str]] = {}
        self.reports: queue.Queue[tuple[str, Any]] = queue.Queue()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kind, content = origin.files.get(self.path, ("text/plain", ""))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(content.encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                origin.reports.put(tuple(json.loads(body)))

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Origin"]:
        thread = Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    async def reported(self, name: str) -> Any:
        """Return the page's next report, which must be of that name; status reports are skipped unless wanted."""
        while True:
            found, value = await anyio.to_thread.run_sync(lambda: self.reports.get(timeout=PATIENCE))
            if found == name:
                return value
            assert found == "status", (found, value)


@contextmanager
def browsing(url: str, profile: Path) -> Iterator[None]:
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
    process = subprocess.Popen(  # noqa: S603 - our own page in an installed browser
        [need_program("chromium"), *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def example() -> str:
    found = re.search(r"```js\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


async def test_a_page_of_another_origin_follows_an_operation(
    worked_settings: Settings, api_key: str, tmp_path: Path
) -> None:
    with Origin().serving() as origin:
        allowed = worked_settings.model_copy(update={"cors_origins": origin.url})
        with RunningGateway(allowed, api_key) as gateway:
            parameters = {
                "gateway": gateway.url,
                "apiKey": api_key,
                "request": tenant(),
                "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01",
            }
            page = PAGE.replace("PARAMETERS", json.dumps(parameters))
            origin.files = {"/": ("text/html", page), "/follow.js": ("text/javascript", example())}
            with browsing(origin.url, tmp_path):
                assert await origin.reported("started") == [202, "1"]
                assert (await origin.reported("tag")).startswith(('"', "W/"))
                assert (await origin.reported("status"))["status"] == "queued"
                async with working(worked_settings):
                    statuses, sent = await origin.reported("followed")
                assert await origin.reported("refused") == [True, 401]
                assert (await origin.reported("challenge")).startswith("Bearer")
    assert (statuses[0], statuses[-1]) == ("queued", "completed")
    # The second request continues after the first event, and the last one has nothing to follow.
    assert sent[0] is None
    assert all(sent[1:])
    assert len(sent) == len(set(sent)) >= 3
