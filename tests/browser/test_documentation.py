"""What a person tries at /docs succeeds with the examples of the page. Other ids come from responses on the page."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from activities.tenants.request import EXAMPLE_TENANT_ID
from tests.browser.documentation import Documentation
from tests.browser.tenants.made import make_tenant
from tests.browser.visitor import PATIENCE_MILLISECONDS
from tests.e2e.conftest import PATIENCE, Service
from tests.support.servers.processes import wait_for

READING = (
    "listTenants", "countTenants", "readTenant", "readFootprint", "listUsers", "readStatus", "readOperation",
    "followOperation", "listOperations", "countOperations", "listOptions", "previewProductChange", "listExports",
    "listAllExports", "listWebhooks", "listApiKeys", "listAuditEvents", "decodePayloads", "livez", "health", "readyz",
    "ready", "startupz", "readMetrics",
)  # fmt: skip
CHANGING = (
    "createTenant", "changeProduct", "changeLicence", "grantAddon", "revokeAddon", "suspendTenant",
    "reactivateTenant", "sendWelcomeEmail",
)  # fmt: skip
DELETION = ("requestDeletion", "readDeletion", "undoDeletion")
OF_EXPORT = ("readExport", "fetchManifest", "fetchPart", "fetchContent", "removeExport")
OF_WEBHOOK = (
    "readWebhook", "changeWebhook", "rotateWebhookSecret", "replayDeadDeliveries", "listDeliveries", "sendTestEvent",
)  # fmt: skip
OF_KEY = ("readApiKey", "rotateApiKey", "revokeApiKey")
STARTING = ("requestExport", "createWebhook", "replayDelivery", "deleteWebhook", "createApiKey")
# They need an operation that has not ended, or delete and restore tenants; their examples are checked without a page.
NOT_TRIED = {
    "cancelCreation", "cancelOperation", "changeOperation", "resumeOperation", "confirmDeletion", "readCertificate",
    "requestRestore",
}  # fmt: skip


@pytest.fixture
def page(service: Service, api: httpx.Client, browser: Browser) -> Iterator[Documentation]:
    """The page on an installation with the example tenant, as `alga-tenants dev --example` creates it."""
    if api.get(f"/tenants/{EXAMPLE_TENANT_ID}").status_code == 404:
        make_tenant(api, "Example", tenantId=EXAMPLE_TENANT_ID)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    faults: list[str] = []
    window = context.new_page()
    window.on("pageerror", lambda error: faults.append(str(error)))
    documentation = Documentation(window, service.installation.url, service.installation.api_key)
    documentation.open()
    documentation.authorize()
    yield documentation
    context.close()
    assert faults == []


def succeed(page: Documentation, *names: str, body: dict[str, Any] | None = None, **places: str) -> Any:
    """Execute the operations, and return the document of the last response, if it is one."""
    for name in names:
        response = page.execute(name, body=body, **places)
        assert response.status < 300, (name, response.status, response.text())
    return response.json() if "json" in response.headers.get("content-type", "") else None


def wait_for_status(api: httpx.Client, operation: dict[str, Any], status: str) -> None:
    wait_for(lambda: api.get(operation["links"]["self"]).json()["status"] == status, timeout=PATIENCE)


def test_every_operation_is_tried(api: httpx.Client) -> None:
    paths = api.get("/openapi.json").json()["paths"]
    known = {operation["operationId"] for path in paths.values() for operation in path.values()}
    assert known == {*READING, *CHANGING, *DELETION, *OF_EXPORT, *OF_WEBHOOK, *OF_KEY, *STARTING, *NOT_TRIED}


def test_every_operation_that_reads_succeeds(page: Documentation) -> None:
    succeed(page, *READING)


def test_every_change_of_the_example_tenant_succeeds(page: Documentation) -> None:
    succeed(page, *CHANGING)


def test_a_deletion_is_requested_and_undone(page: Documentation, api: httpx.Client) -> None:
    request, read, undo = DELETION
    wait_for_status(api, succeed(page, request), "awaiting_confirmation")
    succeed(page, read)
    wait_for_status(api, succeed(page, undo), "cancelled")


def test_an_export_is_made_and_fetched(page: Documentation, api: httpx.Client) -> None:
    wait_for_status(api, succeed(page, "requestExport"), "completed")
    export_id = succeed(page, "listExports")["exports"][0]["exportId"]
    succeed(page, *OF_EXPORT, id=export_id)


def test_a_webhook_and_its_deliveries_are_managed(page: Documentation) -> None:
    # The example would be sent to another machine.
    webhook_id = succeed(page, "createWebhook", body={"url": "http://127.0.0.1:9/events"})["id"]
    event_id = succeed(page, *OF_WEBHOOK, id=webhook_id)["eventId"]
    succeed(page, "replayDelivery", id=webhook_id, event_id=event_id)
    succeed(page, "deleteWebhook", id=webhook_id)


def test_a_key_is_managed_and_the_credential_survives_a_reload(page: Documentation) -> None:
    key_id = succeed(page, "createApiKey")["id"]
    page.open()
    succeed(page, *OF_KEY, key_id=key_id)
