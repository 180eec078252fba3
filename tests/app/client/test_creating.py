from typing import Any
from uuid import UUID, uuid4

import pytest

from app.client import ArgumentError, UnreachableError
from tests.app.client.conftest import API_KEY, Call
from tests.app.client.scripted_server import Reply, ScriptedServer, document, problem

REQUEST = {"tenantName": "Acme", "adminUser": {"firstName": "Ada", "lastName": "B", "email": "ada@acme.example"}}


def test_a_creation_sends_the_request_with_the_api_key(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(202, document("queued")))
    created = call("create_tenant", REQUEST)
    assert created.status == "queued"
    (request,) = server.received
    assert request.body == REQUEST
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.headers["content-type"] == "application/json"


def test_each_creation_has_its_own_idempotency_key(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(202, document()))
    call("create_tenant", REQUEST)
    call("create_tenant", REQUEST)
    first, second = (UUID(request.headers["idempotency-key"]) for request in server.received)
    assert first != second


def test_a_given_idempotency_key_is_sent(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(202, document()))
    call("create_tenant", REQUEST, idempotency_key="order-4711")
    assert server.received[0].headers["idempotency-key"] == "order-4711"


@pytest.mark.parametrize("failure", [Reply(hang_up=True), problem(503, "temporal-unavailable")])
def test_a_repeated_creation_has_the_same_key(server: ScriptedServer, call: Call, failure: Reply) -> None:
    server.script("POST", "/tenants", failure, Reply(202, document()))
    call("create_tenant", REQUEST)
    first, second = server.received
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_the_generated_password_is_read_but_not_in_the_repr(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(202, document(temporaryPassword="made-up-horse")))
    created = call("create_tenant", REQUEST)
    assert created.temporary_password == "made-up-horse"
    assert "made-up-horse" not in repr(created)


def test_waiting_at_the_gateway_extends_the_timeout(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(201, document("completed"), delay=0.5))
    created = call("create_tenant", REQUEST, wait=5, timeout_each=0.1)
    assert created.is_final
    assert server.received[0].headers["prefer"] == "wait=5"


def test_a_slow_gateway_times_out(server: ScriptedServer, call: Call) -> None:
    server.script("POST", "/tenants", Reply(202, document(), delay=0.5))
    with pytest.raises(UnreachableError, match=r"POST /tenants: no response within 0\.1 s"):
        call("create_tenant", REQUEST, timeout_each=0.1)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "x" * 256, "a\nb"])
def test_an_invalid_idempotency_key_is_not_sent(server: ScriptedServer, call: Call, key: str) -> None:
    with pytest.raises(ArgumentError):
        call("create_tenant", REQUEST, idempotency_key=key)
    assert server.received == []


@pytest.mark.parametrize("value", [uuid4(), float("nan")])
def test_a_request_that_is_not_json_is_not_sent(server: ScriptedServer, call: Call, value: Any) -> None:
    with pytest.raises(ArgumentError, match="JSON"):
        call("create_tenant", {"tenantName": value})
    assert server.received == []
