import json

import pytest

from app.client import (
    ArgumentError,
    AsyncTenantsClient,
    AuthenticationError,
    ConflictError,
    Fault,
    InvalidRequestError,
    NotFoundError,
    ProblemError,
    TenantsClient,
    UnexpectedResponseError,
)
from tests.app.client.conftest import API_KEY, Call
from tests.app.client.scripted_server import OPERATION_PATH, WORKFLOW_ID, Reply, ScriptedServer, problem


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (409, ConflictError),
        (415, InvalidRequestError),
        (422, InvalidRequestError),
        (405, ProblemError),
        (500, ProblemError),
    ],
)
def test_each_status_has_its_error(server: ScriptedServer, call: Call, status: int, kind: type[ProblemError]) -> None:
    server.script("GET", OPERATION_PATH, problem(status, "some-code", "what happened"))
    with pytest.raises(ProblemError) as caught:
        call("operation", WORKFLOW_ID)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code, str(caught.value)) == (status, "some-code", "what happened")
    assert caught.value.request_id == "r-1"


def test_invalid_fields_are_named(server: ScriptedServer, call: Call) -> None:
    errors = [{"field": "adminUser.email", "detail": "is required"}]
    server.script("POST", "/tenants", problem(422, "invalid-request", errors=errors))
    with pytest.raises(InvalidRequestError) as caught:
        call("create_tenant", {"tenantName": "Acme"})
    assert caught.value.errors == (Fault(field="adminUser.email", detail="is required"),)
    assert caught.value.as_json()["errors"] == errors


@pytest.mark.parametrize("body", [b"<html>Bad Request</html>", b"", b"[1]", b'{"code": 5, "errors": [1, {}]}'])
def test_an_error_without_a_problem_document_is_understood_by_its_status(
    server: ScriptedServer, call: Call, body: bytes
) -> None:
    server.script("GET", OPERATION_PATH, Reply(404, body, {"X-Request-ID": "from-header"}))
    with pytest.raises(NotFoundError, match="got 404 Not Found") as caught:
        call("operation", WORKFLOW_ID)
    assert (caught.value.code, caught.value.errors, caught.value.request_id) == ("http-404", (), "from-header")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>Welcome</html>"),
        Reply(200, {"hello": "world"}),
        Reply(302, None, {"Location": "https://login.example/"}),
    ],
    ids=["html", "json", "redirect"],
)
def test_a_response_that_is_not_from_a_gateway_is_rejected(server: ScriptedServer, call: Call, reply: Reply) -> None:
    server.script("GET", OPERATION_PATH, reply)
    with pytest.raises(UnexpectedResponseError):
        call("operation", WORKFLOW_ID)
    assert len(server.received) == 1


@pytest.mark.parametrize("workflow_id", ["", ".", ".."])
def test_an_id_that_would_change_the_path_is_rejected(server: ScriptedServer, call: Call, workflow_id: str) -> None:
    with pytest.raises(ArgumentError):
        call("operation", workflow_id)
    with pytest.raises(ArgumentError):
        call("tenant", workflow_id)
    assert server.received == []


def test_an_id_is_encoded_in_the_path(server: ScriptedServer, call: Call) -> None:
    server.script("GET", "/operations/..%2Fkeys%3Fa%20%C3%BC", problem(404, "operation-not-found"))
    with pytest.raises(NotFoundError):
        call("operation", "../keys?a ü")


def test_a_gateway_below_a_path_is_reached(server: ScriptedServer) -> None:
    server.script("GET", "/alga/readyz", Reply(200, {"status": "ok"}))
    with TenantsClient(f"{server.url}/alga/", API_KEY) as client:
        assert client.health().ready


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://tenants.example", "http://", "", "http://x:y"])
def test_an_address_that_is_not_a_url_is_rejected(url: str) -> None:
    with pytest.raises(ArgumentError):
        TenantsClient(url, API_KEY)


@pytest.mark.parametrize("key", ["", "with space-secret", "secret\nX-Admin: 1", "secret-ü"])
@pytest.mark.parametrize("kind", [TenantsClient, AsyncTenantsClient])
def test_an_invalid_api_key_is_rejected_and_not_shown(
    kind: type[TenantsClient | AsyncTenantsClient], key: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind("http://127.0.0.1", key)
    assert "secret" not in str(caught.value)


def test_the_api_key_is_in_no_repr_and_no_error(server: ScriptedServer) -> None:
    server.script("GET", OPERATION_PATH, problem(401, "unauthenticated"))
    with TenantsClient(server.url, API_KEY) as client:
        assert server.url in repr(client)
        with pytest.raises(AuthenticationError) as caught:
            client.operation(WORKFLOW_ID)
    shown = repr(client) + repr(vars(client)) + repr(caught.value) + json.dumps(caught.value.as_json())
    assert API_KEY not in shown
    assert API_KEY not in repr(AsyncTenantsClient(server.url, API_KEY))
