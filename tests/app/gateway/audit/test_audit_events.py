"""The audit events of requests."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio.client import Client

from app.auth.keys.format import ApiKey
from app.auth.scopes import Scope
from app.settings import Settings
from tests.app.gateway.requests import create, tenant
from tests.app.gateway.rows import snapshot, start
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys
from tests.support.waiting import wait_until
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

PERSON = "Jane Doe <jane@msp.example>"


class RequestId:
    """The id of a request, by which its events are found."""

    def __init__(self) -> None:
        self.id = f"audit-{uuid4()}"
        self.headers = {"X-Request-ID": self.id, "X-On-Behalf-Of": PERSON, "X-Forwarded-For": "192.0.2.77"}


@pytest.fixture
def request_id() -> RequestId:
    return RequestId()


async def events(http: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    response = await http.get("/audit-events", params={"pageSize": 200, **wanted})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["events"]
    return found


async def the_event(http: httpx.AsyncClient, request_id: RequestId, **wanted: Any) -> dict[str, Any]:
    """Return the only event of the request. Denials are written within about a second."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        found[:] = [event for event in await events(http, **wanted) if event["requestId"] == request_id.id]
        return bool(found)

    await wait_until(is_there, timeout=15)
    (event,) = found
    return event


async def identity(http: httpx.AsyncClient) -> str:
    requested: str = (await create(http))["requestedVia"]
    return requested


def essence(event: dict[str, Any]) -> dict[str, Any]:
    names = ("action", "outcome", "caller", "onBehalfOf", "workflowId", "tenantId", "subject", "reason", "address")
    return {name: event[name] for name in names if event[name] is not None}


async def test_a_creation(http: httpx.AsyncClient, request_id: RequestId) -> None:
    created = await create(http, None, **request_id.headers)
    assert essence(await the_event(http, request_id)) == {
        "action": "tenant.create",
        "outcome": "accepted",
        "caller": created["requestedVia"],
        "onBehalfOf": PERSON,
        "workflowId": created["workflowId"],
        "tenantId": created["tenantId"],
        "address": "192.0.2.77",
    }


async def test_a_creation_repeated_with_its_key_is_one_event(http: httpx.AsyncClient, request_id: RequestId) -> None:
    body = tenant()
    for _ in range(2):
        created = await create(http, body, **request_id.headers, **{"Idempotency-Key": request_id.id})
    assert len(await events(http, workflowId=created["workflowId"])) == 1


async def test_a_creation_with_a_taken_tenant_id_is_no_event(http: httpx.AsyncClient, request_id: RequestId) -> None:
    created = await create(http)
    response = await http.post("/tenants", json=tenant(tenantId=created["tenantId"]), headers=request_id.headers)
    assert response.status_code == 409
    assert len(await events(http, workflowId=created["workflowId"])) == 1


async def test_a_repeated_cancel_is_one_event(http: httpx.AsyncClient, request_id: RequestId) -> None:
    created = await create(http)
    path = f"/operations/{created['workflowId']}"
    for headers in (request_id.headers, {}):
        response = await http.request("DELETE", path, json={"reason": "a mistake"}, headers=headers)
        assert response.status_code == 202
    cancel, creation = await events(http, workflowId=created["workflowId"])
    assert creation["action"] == "tenant.create"
    assert cancel["details"] == {"reason": "a mistake"}
    assert cancel["requestId"] == request_id.id
    assert essence(cancel) == {
        "action": "operation.cancel",
        "outcome": "accepted",
        "caller": created["requestedVia"],
        "onBehalfOf": PERSON,
        "workflowId": created["workflowId"],
        "tenantId": created["tenantId"],
        "address": "192.0.2.77",
    }


async def test_resuming(http: httpx.AsyncClient, temporal_client: Client, request_id: RequestId) -> None:
    tenant_id = uuid4()
    workflow_id = await start(temporal_client, snapshot(OperationStatus.NEEDS_ATTENTION, tenant_id))
    assert (await http.post(f"/operations/{workflow_id}/resume", headers=request_id.headers)).status_code == 202
    event = await the_event(http, request_id, action="operation.resume")
    assert (event["workflowId"], event["tenantId"], event["onBehalfOf"]) == (workflow_id, str(tenant_id), PERSON)


async def test_creating_rotating_and_revoking_keys(http: httpx.AsyncClient) -> None:
    caller = await identity(http)
    request_ids = [RequestId() for _ in range(3)]
    body = {"name": "audited", "scopes": [Scope.TENANTS_READ]}
    made = (await http.post("/api-keys", json=body, headers=request_ids[0].headers)).json()
    rotated = (await http.post(f"/api-keys/{made['id']}/rotate", headers=request_ids[1].headers)).json()
    assert (await http.delete(f"/api-keys/{rotated['id']}", headers=request_ids[2].headers)).status_code == 200
    recorded = [await the_event(http, request_id) for request_id in request_ids]
    assert [(event["action"], event["subject"]) for event in recorded] == [
        ("key.create", made["id"]),
        ("key.rotate", rotated["id"]),
        ("key.revoke", rotated["id"]),
    ]
    assert {(event["caller"], event["onBehalfOf"], event["outcome"], event["address"]) for event in recorded} == {
        (caller, PERSON, "accepted", "192.0.2.77")
    }
    assert recorded[1]["details"]["replaces"] == made["id"]
    for secret in (made["key"], rotated["key"]):
        key = ApiKey.parse(secret)
        assert key is not None
        assert key.secret not in str(recorded)


async def test_a_wrong_key(gateway: RunningGateway, http: httpx.AsyncClient, request_id: RequestId) -> None:
    async with gateway.client(**{"X-API-Key": ApiKey.generate().text}) as wrong:
        assert (await wrong.get("/tenants", headers=request_id.headers)).status_code == 401
    event = await the_event(http, request_id, outcome="denied")
    assert essence(event) == {
        "action": "request.denied",
        "outcome": "denied",
        "caller": "anonymous",
        "reason": "unauthorized",
        "address": "192.0.2.77",
    }
    assert (event["method"], event["path"], event["count"]) == ("GET", "/tenants", 1)


async def test_a_missing_scope(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, request_id: RequestId
) -> None:
    key = await keys.create(scopes=EVERYTHING - {Scope.TENANTS_CREATE})
    async with gateway.client(**{"X-API-Key": key.key}) as reader:
        assert (await reader.post("/tenants", json=tenant(), headers=request_id.headers)).status_code == 403
    event = await the_event(http, request_id, outcome="denied")
    assert (event["caller"], event["reason"]) == (f"key:{key.record.key_id}", "scope-missing")


async def test_another_tenants_operation(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, request_id: RequestId
) -> None:
    theirs, own = await create(http), uuid4()
    key = await keys.create(tenant_id=own)
    async with gateway.client(**{"X-API-Key": key.key}) as bound:
        response = await bound.delete(f"/operations/{theirs['workflowId']}", headers=request_id.headers)
        assert response.status_code == 404
    event = await the_event(http, request_id, outcome="denied")
    assert (event["caller"], event["tenantId"]) == (f"key:{key.record.key_id}", str(own))
    assert (event["reason"], event["path"]) == ("operation-not-found", "/operations/{id}")


async def test_granting_a_scope_that_the_caller_lacks(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, request_id: RequestId
) -> None:
    key = await keys.create(scopes=EVERYTHING - {Scope.AUDIT_READ})
    async with gateway.client(**{"X-API-Key": key.key}) as manager:
        body = {"name": "more", "scopes": [Scope.AUDIT_READ]}
        assert (await manager.post("/api-keys", json=body, headers=request_id.headers)).status_code == 403
    assert (await the_event(http, request_id, outcome="denied"))["reason"] == "scope-not-held"


async def test_asking_for_webhooks_as_a_bound_caller(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, request_id: RequestId
) -> None:
    key = await keys.create(tenant_id=uuid4())
    async with gateway.client(**{"X-API-Key": key.key}) as bound:
        assert (await bound.get("/webhooks", headers=request_id.headers)).status_code == 403
    event = await the_event(http, request_id, outcome="denied")
    assert (event["reason"], event["path"]) == ("unbound-caller-required", "/webhooks")


async def test_exceeding_the_rate_limit(
    settings: Settings, api_key: str, http: httpx.AsyncClient, request_id: RequestId
) -> None:
    few = settings.model_copy(update={"rate_limit_per_minute": 1, "rate_limit_burst": 1})
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client() as hasty:
            assert (await hasty.get("/tenants")).status_code == 200
            assert (await hasty.get("/tenants", headers=request_id.headers)).status_code == 429
    # Buffered events are written before the gateway ends.
    (event,) = [event for event in await events(http, outcome="denied") if event["requestId"] == request_id.id]
    assert event["reason"] == "rate-limited"


async def test_invalid_requests_that_are_not_denied_are_no_events(http: httpx.AsyncClient) -> None:
    before = (await events(http, pageSize=1))[0]["sequence"]
    assert (await http.post("/tenants", json={})).status_code == 422
    assert (await http.get("/operations/unknown")).status_code == 404
    created = await create(http)
    assert [event["workflowId"] for event in await events(http) if event["sequence"] > before] == [
        created["workflowId"]
    ]


async def test_a_bound_caller_sees_only_its_tenants_events(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    theirs, own = await create(http), await create(http)
    key = await keys.create(tenant_id=UUID(own["tenantId"]))
    async with gateway.client(**{"X-API-Key": key.key}) as bound:
        shown = await events(bound)
        assert {event["tenantId"] for event in shown} == {own["tenantId"]}
        assert own["workflowId"] in {event["workflowId"] for event in shown}
        assert await events(bound, tenantId=theirs["tenantId"]) == []
        assert await events(bound, workflowId=theirs["workflowId"]) == []


async def test_the_scope_is_required(gateway: RunningGateway, keys: Keys) -> None:
    key = await keys.create(scopes=EVERYTHING - {Scope.AUDIT_READ})
    async with gateway.client(**{"X-API-Key": key.key}) as http:
        assert (await http.get("/audit-events")).status_code == 403


async def test_pages_show_every_event_once_newest_first(http: httpx.AsyncClient) -> None:
    made = [(await create(http))["workflowId"] for _ in range(5)]
    shown: list[str] = []
    parameters: dict[str, Any] = {"pageSize": 2, "action": "tenant.create"}
    sequences = []
    while len(shown) < 5:
        page = (await http.get("/audit-events", params=parameters)).json()
        shown += [event["workflowId"] for event in page["events"]]
        sequences += [event["sequence"] for event in page["events"]]
        parameters["pageToken"] = page["nextPageToken"]
    assert shown[:5] == made[::-1]
    assert sequences == sorted(set(sequences), reverse=True)


async def test_filters_narrow_the_list(http: httpx.AsyncClient) -> None:
    created = await create(http)
    of_tenant = {"tenantId": created["tenantId"]}
    (event,) = await events(http, **of_tenant)
    moment = event["occurredAt"]
    assert await events(http, **of_tenant, action=["tenant.create", "key.create"], outcome="accepted") == [event]
    assert await events(http, **of_tenant, caller=created["requestedVia"], occurredAfter=moment) == [event]
    for other in (
        {"action": "operation.cancel"},
        {"outcome": "denied"},
        {"caller": "key:nobody"},
        {"workflowId": "another"},
        {"occurredBefore": moment},
        {"occurredAfter": "2099-01-01T00:00:00Z"},
    ):
        assert await events(http, **of_tenant, **other) == []


@pytest.mark.parametrize(
    "bad",
    [
        {"action": "tenant.destroy"},
        {"outcome": "maybe"},
        {"caller": "\0"},
        {"tenantId": "acme"},
        {"occurredAfter": "yesterday"},
        {"pageSize": "0"},
        {"pageSize": "201"},
        {"pageToken": "1"},
        {"pageToken": "9" * 19},
    ],
)
async def test_invalid_parameters_are_rejected(http: httpx.AsyncClient, bad: dict[str, str]) -> None:
    response = await http.get("/audit-events", params=bad)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")
