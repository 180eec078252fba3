"""Both clients manage API keys and read the audit trail."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.client import ApiKey, ArgumentError, AuditEvent, ConflictError, CreatedApiKey, UnreachableError
from app.gateway.audit.documents import AuditEventDocument
from app.gateway.http.problems.problem import Document
from app.gateway.keys.documents import ApiKeyDocument, CreatedApiKeyDocument
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import TENANT_ID, Reply, ScriptedServer, problem

SECRET = "at_abc_secret"
KEY: dict[str, Any] = {"id": "abc", "name": "admin UI", "state": "active", "scopes": ["tenants:read"]}
EVENT: dict[str, Any] = {
    "sequence": 2,
    "id": TENANT_ID,
    "occurredAt": "2026-01-31T12:00:00Z",
    "action": "an action of a newer gateway",
    "outcome": "accepted",
    "caller": "key:abc",
    "hash": "0" * 64,
}


@pytest.mark.parametrize(
    ("model", "document", "kept"),
    [
        (ApiKey, ApiKeyDocument, set()),
        (CreatedApiKey, CreatedApiKeyDocument, set()),
        (AuditEvent, AuditEventDocument, {"hash", "previous_hash"}),
    ],
)
def test_the_models_have_all_fields_of_the_gateway(
    model: type[ApiKey], document: type[Document], kept: set[str]
) -> None:
    assert set(model.model_fields) | kept == set(document.model_fields)


def test_keys_are_listed(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/api-keys", Reply(200, {"keys": [KEY, {**KEY, "id": "def", "state": "forged"}]}))
    assert [(key.id, key.state) for key in call("api_keys")] == [("abc", "active"), ("def", "forged")]


def test_a_key_is_created_and_its_secret_is_not_in_its_representation(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/api-keys", Reply(201, {**KEY, "key": SECRET}))
    created = call("create_api_key", "admin UI", scopes=["b", "a"], tenant_id=TENANT_ID, expires_in_days=30)
    assert created.key == SECRET
    assert SECRET not in repr(created)
    body = {"name": "admin UI", "scopes": ["a", "b"], "tenantId": TENANT_ID, "expiresInDays": 30}
    assert server.received[0].body == body


@pytest.mark.parametrize(("method", "path"), [("create_api_key", ""), ("rotate_api_key", "/abc/rotate")])
def test_a_lost_response_is_not_followed_by_a_second_key(
    server: ScriptedServer, call: Call, method: str, path: str
) -> None:
    server.script("POST", f"/api-keys{path}", Reply(hang_up=True), Reply(201, {**KEY, "key": SECRET}))
    with pytest.raises(UnreachableError):
        call(method, "abc")
    assert len(server.received) == 1


def test_a_key_is_rotated_and_revoked(server: ScriptedServer, call: Call) -> None:
    server.script(
        "POST", "/api-keys/abc/rotate", Reply(201, {**KEY, "key": SECRET}), problem(409, "api-key-unusable")
    )
    server.script("DELETE", "/api-keys/abc", Reply(200, {**KEY, "state": "revoked"}))
    assert call("rotate_api_key", "abc", overlap_hours=0).key == SECRET
    assert server.received[0].body == {"overlapHours": 0}
    with pytest.raises(ConflictError):
        call("rotate_api_key", "abc")
    assert call("revoke_api_key", "abc").state == "revoked"


def test_an_id_that_is_none_reaches_no_other_path(server: ScriptedServer, call: Call) -> None:
    with pytest.raises(ArgumentError):
        call("revoke_api_key", "..")
    server.script("DELETE", "/api-keys/a%2Fb", Reply(200, KEY))
    assert call("revoke_api_key", "a/b").id == "abc"


def test_audit_events_are_read_page_by_page_and_kept_as_they_came(server: ScriptedServer, call: Call) -> None:
    pages = ({"events": [EVENT], "nextPageToken": "2"}, {"events": [{**EVENT, "sequence": 1}], "nextPageToken": None})
    server.script("GET", "/audit-events", *(Reply(200, page) for page in pages))
    after = datetime(2026, 1, 31, tzinfo=UTC)
    events = call("audit_events", action=["a", "b"], caller="key:abc", occurred_after=after, page_size=1)
    assert [event.sequence for event in events] == [2, 1]
    assert events[0].as_json() == EVENT
    expected = {("action", "a"), ("action", "b"), ("caller", "key:abc"), ("occurredAfter", after.isoformat())}
    assert expected <= set(server.received[0].query)
    assert ("pageToken", "2") in server.received[1].query
