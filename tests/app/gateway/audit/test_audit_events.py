"""What the audit trail says of requests: who, for whom, what, how it ended, which request, from where."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio.client import Client

from app.auth.keys.format import ApiKey
from app.auth.scopes import Scope
from app.settings import Settings
from tests.app.gateway.operation_rows import snapshot, start
from tests.app.gateway.requests import create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys
from tests.support.waiting import wait_until
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

PERSON = "Jane Doe <jane@msp.example>"


class Asked:
    """A request's id, under which its events are found."""

    def __init__(self) -> None:
        self.id = f"audit-{uuid4()}"
        self.headers = {"X-Request-ID": self.id, "X-On-Behalf-Of": PERSON, "X-Forwarded-For": "192.0.2.77"}


@pytest.fixture
def asked() -> Asked:
    return Asked()


async def events(http: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    answer = await http.get("/audit-events", params={"pageSize": 200, **wanted})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


async def the_event(http: httpx.AsyncClient, asked: Asked, **wanted: Any) -> dict[str, Any]:
    """The one event of the request; a denial is written within a second or so."""
    found: list[dict[str, Any]] = []

    async def is_there() -> bool:
        found[:] = [event for event in await events(http, **wanted) if event["requestId"] == asked.id]
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


async def test_a_creation(http: httpx.AsyncClient, asked: Asked) -> None:
    created = await create(http, None, **asked.headers)
    assert essence(await the_event(http, asked)) == {
        "action": "tenant.create",
        "outcome": "accepted",
        "caller": created["requestedVia"],
        "onBehalfOf": PERSON,
        "workflowId": created["workflowId"],
        "tenantId": created["tenantId"],
        "address": "192.0.2.77",
    }


async def test_a_creation_that_is_repeated_with_its_key_is_one_event(http: httpx.AsyncClient, asked: Asked) -> None:
    body = tenant()
    for _ in range(2):
        created = await create(http, body, **asked.headers, **{"Idempotency-Key": asked.id})
    assert len(await events(http, workflowId=created["workflowId"])) == 1


async def test_a_creation_that_finds_its_tenant_taken_is_none(http: httpx.AsyncClient, asked: Asked) -> None:
    created = await create(http)
    answer = await http.post("/tenants", json=tenant(tenantId=created["tenantId"]), headers=asked.headers)
    assert answer.status_code == 409
    assert len(await events(http, workflowId=created["workflowId"])) == 1


async def test_a_cancel_and_nothing_for_its_repetition(http: httpx.AsyncClient, asked: Asked) -> None:
    created = await create(http)
    path = f"/operations/{created['workflowId']}"
    for headers in (asked.headers, {}):
        answer = await http.request("DELETE", path, json={"reason": "a mistake"}, headers=headers)
        assert answer.status_code == 202
    cancel, creation = await events(http, workflowId=created["workflowId"])
    assert creation["action"] == "tenant.create"
    assert cancel["details"] == {"reason": "a mistake"}
    assert cancel["requestId"] == asked.id
    assert essence(cancel) == {
        "action": "operation.cancel",
        "outcome": "accepted",
        "caller": created["requestedVia"],
        "onBehalfOf": PERSON,
        "workflowId": created["workflowId"],
        "tenantId": created["tenantId"],
        "address": "192.0.2.77",
    }


async def test_resuming(http: httpx.AsyncClient, temporal_client: Client, asked: Asked) -> None:
    tenant_id = uuid4()
    workflow_id = await start(temporal_client, snapshot(OperationStatus.NEEDS_ATTENTION, tenant_id))
    assert (await http.post(f"/operations/{workflow_id}/resume", headers=asked.headers)).status_code == 202
    event = await the_event(http, asked, action="operation.resume")
    assert (event["workflowId"], event["tenantId"], event["onBehalfOf"]) == (workflow_id, str(tenant_id), PERSON)


async def test_keys_that_are_made_rotated_and_revoked(http: httpx.AsyncClient) -> None:
    caller = await identity(http)
    asks = [Asked() for _ in range(3)]
    body = {"name": "audited", "scopes": [Scope.TENANTS_READ]}
    made = (await http.post("/api-keys", json=body, headers=asks[0].headers)).json()
    rotated = (await http.post(f"/api-keys/{made['id']}/rotate", headers=asks[1].headers)).json()
    assert (await http.delete(f"/api-keys/{rotated['id']}", headers=asks[2].headers)).status_code == 200
    told = [await the_event(http, asked) for asked in asks]
    assert [(event["action"], event["subject"]) for event in told] == [
        ("key.create", made["id"]),
        ("key.rotate", rotated["id"]),
        ("key.revoke", rotated["id"]),
    ]
    assert {(event["caller"], event["onBehalfOf"], event["outcome"], event["address"]) for event in told} == {
        (caller, PERSON, "accepted", "192.0.2.77")
    }
    assert told[1]["details"]["replaces"] == made["id"]
    for secret in (made["key"], rotated["key"]):
        key = ApiKey.parse(secret)
        assert key is not None
        assert key.secret not in str(told)


async def test_a_wrong_key(gateway: RunningGateway, http: httpx.AsyncClient, asked: Asked) -> None:
    async with gateway.client(**{"X-API-Key": ApiKey.generate().text}) as wrong:
        assert (await wrong.get("/tenants", headers=asked.headers)).status_code == 401
    event = await the_event(http, asked, outcome="denied")
    assert essence(event) == {
        "action": "request.denied",
        "outcome": "denied",
        "caller": "anonymous",
        "reason": "unauthorized",
        "address": "192.0.2.77",
    }
    assert (event["method"], event["path"], event["count"]) == ("GET", "/tenants", 1)


async def test_a_missing_scope(gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, asked: Asked) -> None:
    key = await keys.create(scopes=EVERYTHING - {Scope.TENANTS_CREATE})
    async with gateway.client(**{"X-API-Key": key.key}) as reader:
        assert (await reader.post("/tenants", json=tenant(), headers=asked.headers)).status_code == 403
    event = await the_event(http, asked, outcome="denied")
    assert (event["caller"], event["reason"]) == (f"key:{key.record.key_id}", "scope-missing")


async def test_another_tenants_operation(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, asked: Asked
) -> None:
    theirs, own = await create(http), uuid4()
    key = await keys.create(tenant_id=own)
    async with gateway.client(**{"X-API-Key": key.key}) as bound:
        answer = await bound.delete(f"/operations/{theirs['workflowId']}", headers=asked.headers)
        assert answer.status_code == 404
    event = await the_event(http, asked, outcome="denied")
    assert (event["caller"], event["tenantId"]) == (f"key:{key.record.key_id}", str(own))
    assert (event["reason"], event["path"]) == ("operation-not-found", "/operations/{id}")


async def test_a_scope_that_its_giver_lacks(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys, asked: Asked
) -> None:
    key = await keys.create(scopes=EVERYTHING - {Scope.AUDIT_READ})
    async with gateway.client(**{"X-API-Key": key.key}) as manager:
        body = {"name": "more", "scopes": [Scope.AUDIT_READ]}
        assert (await manager.post("/api-keys", json=body, headers=asked.headers)).status_code == 403
    assert (await the_event(http, asked, outcome="denied"))["reason"] == "scope-not-held"


async def test_asking_too_often(settings: Settings, api_key: str, http: httpx.AsyncClient, asked: Asked) -> None:
    few = settings.model_copy(update={"rate_limit_per_minute": 1, "rate_limit_burst": 1})
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client() as hasty:
            assert (await hasty.get("/tenants")).status_code == 200
            assert (await hasty.get("/tenants", headers=asked.headers)).status_code == 429
    # What waits is written before the gateway ends.
    (event,) = [event for event in await events(http, outcome="denied") if event["requestId"] == asked.id]
    assert event["reason"] == "rate-limited"


async def test_what_is_wrong_but_not_denied_is_no_event(http: httpx.AsyncClient) -> None:
    before = (await events(http, pageSize=1))[0]["sequence"]
    assert (await http.post("/tenants", json={})).status_code == 422
    assert (await http.get("/operations/unknown")).status_code == 404
    created = await create(http)
    assert [event["workflowId"] for event in await events(http) if event["sequence"] > before] == [
        created["workflowId"]
    ]


async def test_a_bound_caller_sees_its_tenants_events_alone(
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


async def test_the_scope_is_needed(gateway: RunningGateway, keys: Keys) -> None:
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
async def test_bad_parameters_are_refused(http: httpx.AsyncClient, bad: dict[str, str]) -> None:
    answer = await http.get("/audit-events", params=bad)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
