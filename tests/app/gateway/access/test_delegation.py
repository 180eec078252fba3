"""A trusted caller names the person on whose behalf it acts."""

import httpx
import pytest

from app.auth.scopes import Scope
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys

pytestmark = pytest.mark.anyio

PERSON = "Jane Doe <jane@msp.example>"
FOR_PERSON = {"X-On-Behalf-Of": PERSON}


async def test_the_person_is_recorded_with_the_callers_key(http: httpx.AsyncClient) -> None:
    own = await create(http)
    created = await create(http, None, **FOR_PERSON)
    assert (created["requestedBy"], created["requestedVia"]) == (PERSON, own["requestedVia"])
    cancelled = (await http.delete(created["links"]["cancel"], headers=FOR_PERSON)).json()
    assert (cancelled["cancelledBy"], cancelled["cancelledVia"]) == (PERSON, own["requestedVia"])
    (listed,) = (await http.get("/operations", params={"pageSize": 1})).json()["operations"]
    assert (listed["requestedBy"], listed["requestedVia"]) == (PERSON, own["requestedVia"])


async def test_a_caller_acts_for_itself_by_default(http: httpx.AsyncClient) -> None:
    created = await create(http)
    assert created["requestedBy"] == created["requestedVia"]


async def test_a_caller_without_the_scope_cannot_act_for_others(gateway: RunningGateway, keys: Keys) -> None:
    key = (await keys.create(scopes=EVERYTHING - {Scope.TENANTS_MANAGE})).key
    async with gateway.client(**{"X-API-Key": key}) as http:
        response = await http.post("/tenants", json=tenant(), headers=FOR_PERSON)
        assert_problem(response, 403, "scope-missing")
        assert "tenants:manage" in response.json()["detail"]


@pytest.mark.parametrize("person", ["", "a\tb", "x" * 201, "Jürgen"])
async def test_an_invalid_person_is_rejected(http: httpx.AsyncClient, person: str) -> None:
    headers = [(b"X-On-Behalf-Of", person.encode())]
    request = http.build_request("POST", "/tenants", json=tenant(), headers=headers)
    assert_problem(await http.send(request), 400, "bad-on-behalf-of")


async def test_the_same_idempotency_key_for_another_person_is_another_request(http: httpx.AsyncClient) -> None:
    body = tenant()
    key = {"Idempotency-Key": "for-one-person"}
    first = await create(http, body, **key, **FOR_PERSON)
    assert (await create(http, body, **key, **FOR_PERSON))["workflowId"] == first["workflowId"]
    response = await http.post("/tenants", json=body, headers={**key, "X-On-Behalf-Of": "Joe"})
    assert_problem(response, 422, "idempotency-key-reused")
