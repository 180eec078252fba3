"""With `--ids` lists print one id a line, for scripts."""

import pytest

from tests.app.cli.conftest import Run
from tests.app.client.archive import EXPORT_ID, export
from tests.app.client.scripted_server import RESULT, TENANT_ID, TENANT_PATH, Reply, ScriptedServer, tenant, user
from tests.app.client.webhook_documents import DELIVERIES_PATH, EVENT_ID, WEBHOOK_ID, delivery, webhook

KEY = {"id": "oYQeFA0ilsds", "name": "ops", "state": "active", "scopes": ["tenants:read"]}


@pytest.mark.parametrize(
    ("arguments", "path", "listed", "id_"),
    [
        (("tenants", "list"), "/tenants", {"tenants": [tenant()]}, TENANT_ID),
        (("tenants", "users", TENANT_ID), f"{TENANT_PATH}/users", {"users": [user()]}, RESULT["adminUserId"]),
        (("exports", "list", TENANT_ID), f"{TENANT_PATH}/exports", {"exports": [export()]}, EXPORT_ID),
        (("webhooks", "list"), "/webhooks", {"webhooks": [webhook()]}, WEBHOOK_ID),
        (("webhooks", "deliveries", WEBHOOK_ID), DELIVERIES_PATH, {"deliveries": [delivery()]}, EVENT_ID),
        (("keys", "list"), "/api-keys", {"keys": [KEY]}, KEY["id"]),
    ],
)
def test_a_list_of_ids_is_for_scripts(
    server: ScriptedServer, run: Run, *, arguments: tuple[str, ...], path: str, listed: dict[str, object], id_: str
) -> None:
    server.script("GET", path, Reply(200, {**listed, "nextPageToken": None}))
    assert run(*arguments, "--ids").stdout == f"{id_}\n"
    ran = run(*arguments, "--ids", "--json")
    assert (ran.code, ran.stdout, "--ids" in ran.stderr) == (2, "", True)
