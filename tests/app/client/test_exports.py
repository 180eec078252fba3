from app.client import Export
from tests.app.client.archive import EXPORT_ID, EXPORT_PATH, EXPORTS_PATH, export
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import TENANT_ID, Reply, ScriptedServer, document


def test_an_export_is_requested(server: ScriptedServer, call: Call) -> None:
    server.script("POST", EXPORTS_PATH, Reply(202, document("queued", kind="tenant_export")))
    assert call("create_export", TENANT_ID).kind == "tenant_export"
    call("create_export", TENANT_ID, include_secrets=True, reason="move")
    bodies = [request.body for request in server.received]
    assert bodies == [{"includeSecrets": False}, {"includeSecrets": True, "reason": "move"}]


def test_exports_are_read_page_by_page(server: ScriptedServer, call: Call) -> None:
    first = Reply(200, {"exports": [export()], "nextPageToken": "more"})
    last = Reply(200, {"exports": [export(state="expired")], "nextPageToken": None})
    server.script("GET", EXPORTS_PATH, first, last)
    assert [item.state for item in call("exports", TENANT_ID, page_size=1)] == ["completed", "expired"]
    assert server.received[1].query == [("pageSize", "1"), ("pageToken", "more")]


def test_an_export_is_read_and_removed(server: ScriptedServer, call: Call) -> None:
    server.script("GET", EXPORT_PATH, Reply(200, export(manifest={"tables": []}, novelty=1)))
    assert call("export", EXPORT_ID).as_json() == export(manifest={"tables": []}, novelty=1)
    server.script("DELETE", EXPORT_PATH, Reply(200, export(state="expired")))
    assert call("delete_export", EXPORT_ID).state == "expired"


def test_an_unknown_state_is_kept() -> None:
    assert Export.model_validate(export(state="archived")).state == "archived"


def test_a_restore_is_requested(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/restores", Reply(202, document("queued", kind="tenant_restore")))
    assert call("restore", EXPORT_ID).kind == "tenant_restore"
    call("restore", EXPORT_ID, dry_run=True)
    bodies = [request.body for request in server.received]
    assert bodies == [{"exportId": EXPORT_ID, "dryRun": False}, {"exportId": EXPORT_ID, "dryRun": True}]
