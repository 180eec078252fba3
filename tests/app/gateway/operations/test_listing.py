from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.app.gateway.requests import assert_problem, create, faults, tenant
from tests.app.gateway.rows import record
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
FAILED = {
    "status": "failed",
    "finished_at": NOON,
    "error": '{"code": "tenant-exists", "detail": "is taken", "field": "tenantId"}',
}


async def listed(http: httpx.AsyncClient, **params: Any) -> list[str]:
    """Return the workflow ids of the only page."""
    response = await http.get("/operations", params=params)
    assert response.status_code == 200, response.text
    assert response.json()["nextPageToken"] is None
    return [operation["workflowId"] for operation in response.json()["operations"]]


async def test_a_creation_is_listed(http: httpx.AsyncClient) -> None:
    name = f"Listed {uuid4()}"
    created = await create(http, tenant(tenantName=name))
    (operation,) = (await http.get("/operations", params={"name": name})).json()["operations"]
    assert operation == {
        "workflowId": created["workflowId"],
        "tenantId": created["tenantId"],
        "tenantName": name,
        "productCode": "psa",
        "kind": "tenant_creation",
        "status": "queued",
        "step": None,
        "progress": 0,
        "error": None,
        "warnings": [],
        "requestedBy": created["requestedBy"],
        "requestedVia": created["requestedVia"],
        "startedAt": created["startedAt"],
        "committedAt": None,
        "updatedAt": operation["updatedAt"],
        "finishedAt": None,
        "nextTryAt": None,
        "attentionDeadline": None,
        "links": created["links"],
    }


async def test_the_newest_is_first(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    name = f"Ordered {uuid4()}"
    older, newest, oldest = [
        await record(database, name, started_at=NOON + timedelta(minutes=minutes)) for minutes in (1, 2, 0)
    ]
    assert await listed(http, name=name) == [newest, older, oldest]


async def test_operations_are_filtered_by_one_or_more_statuses(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Statuses {uuid4()}"
    queued = await record(database, name, started_at=NOON)
    failed = await record(database, name, started_at=NOON + timedelta(minutes=1), **FAILED)
    await record(database, name, status="running")
    assert await listed(http, name=name, status="queued") == [queued]
    assert await listed(http, name=name, status=["queued", "failed"]) == [failed, queued]


async def test_operations_are_counted_by_status_with_the_filters_of_the_list(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Counted {uuid4()}"
    for row in (FAILED, FAILED, {}):
        await record(database, name, **row)
    counts = (await http.get("/operations/counts", params={"name": name})).json()
    assert counts["total"] == 3
    assert set(counts["byStatus"]) == set(OperationStatus)
    assert {status: number for status, number in counts["byStatus"].items() if number} == {"failed": 2, "queued": 1}
    failed = (await http.get("/operations/counts", params={"name": name, "status": ["failed", "cancelled"]})).json()
    assert failed == {"total": 2, "byStatus": {"failed": 2, "cancelled": 0}}
    for params, field in (({"status": "x"}, "status.0"), ({"startedAfter": "x"}, "startedAfter")):
        response = await http.get("/operations/counts", params=params)
        assert_problem(response, 422, "invalid-request")
        assert field in faults(response)


async def test_an_error_is_shown_as_a_problem(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    name = f"Failed {uuid4()}"
    await record(database, name, **FAILED)
    (operation,) = (await http.get("/operations", params={"name": name})).json()["operations"]
    assert operation["error"]["type"] == "/problems/tenant-exists"
    assert operation["error"]["errors"] == [{"field": "tenantId", "detail": "is taken"}]
    assert "cancel" not in operation["links"]


async def test_operations_are_filtered_by_part_of_the_name_in_any_case(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    marker = uuid4().hex
    found = await record(database, f"Ünder 100%_{marker} GmbH")
    await record(database, f"Under 100x{marker} GmbH")
    assert await listed(http, name=f"100%_{marker.upper()} g") == [found]


async def test_operations_are_filtered_by_time_in_any_zone_with_an_exclusive_end(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Times {uuid4()}"
    first, second, third = [
        await record(database, name, started_at=NOON + timedelta(hours=hour)) for hour in range(3)
    ]
    assert await listed(http, name=name, startedAfter="2025-03-01T13:00:00Z") == [third, second]
    assert await listed(http, name=name, startedBefore="2025-03-01T14:00:00+01:00") == [first]
    assert await listed(
        http, name=name, startedAfter="2025-03-01T12:30:00Z", startedBefore="2025-03-01T13:30:00Z"
    ) == [second]


async def test_pages_hold_each_operation_once_if_times_are_equal(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Pages {uuid4()}"
    inserted = {
        await record(database, name, started_at=NOON, workflow_id=f"Ünïcode/{number} {uuid4()}")
        for number in range(7)
    }
    seen: list[str] = []
    params = {"name": name, "pageSize": "3"}
    sizes = []
    while True:
        page = (await http.get("/operations", params=params)).json()
        sizes.append(len(page["operations"]))
        seen += [operation["workflowId"] for operation in page["operations"]]
        if page["nextPageToken"] is None:
            break
        params["pageToken"] = page["nextPageToken"]
    assert sizes == [3, 3, 1]
    assert len(seen) == 7
    assert set(seen) == inserted


async def test_a_full_page_without_a_successor_is_the_last(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    name = f"Full {uuid4()}"
    for _ in range(2):
        await record(database, name)
    assert len(await listed(http, name=name, pageSize=2)) == 2


async def test_filters_are_combined(http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
    name, tenant_id = f"Filtered {uuid4()}", uuid4()
    finished = {"tenant_id": tenant_id, "finished_at": NOON}
    creation = await record(database, name, **finished, started_at=NOON)
    export = await record(
        database,
        name,
        **finished,
        started_at=NOON + timedelta(hours=1),
        kind="tenant_export",
        workflow_id=str(uuid4()),
    )
    other = await record(database, name, started_at=NOON + timedelta(hours=2))
    assert await listed(http, name=name) == [other, export, creation]
    assert await listed(http, tenantId=str(tenant_id)) == [export, creation]
    assert await listed(http, tenantId=str(tenant_id).upper(), kind="tenant_creation") == [creation]
    assert await listed(http, name=name, kind="tenant_creation") == [other, creation]
    assert await listed(http, tenantId=str(tenant_id), startedAfter="2025-03-01T12:30:00Z") == [export]
    assert await listed(http, tenantId=str(tenant_id), status="failed") == []
    assert await listed(http, name=name, kind="tenant_merge") == []


async def test_a_bound_caller_finds_only_operations_of_its_tenant(
    gateway: RunningGateway, keys: Keys, database: asyncpg.Connection
) -> None:
    name, tenant_id, other = f"Bound {uuid4()}", uuid4(), uuid4()
    own = await record(database, name, tenant_id=tenant_id)
    await record(database, name, tenant_id=other)
    await record(database, name, tenant_id=None)
    async with gateway.client(**{"X-API-Key": (await keys.create(tenant_id=tenant_id)).key}) as bound:
        assert await listed(bound) == [own]
        assert await listed(bound, name=name, kind="tenant_creation", status="queued") == [own]
        assert await listed(bound, tenantId=str(tenant_id)) == [own]
        assert await listed(bound, tenantId=str(other)) == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"status": "done"}, "status.0"),
        ({"kind": "Tenant Creation"}, "kind"),
        ({"kind": "x" * 101}, "kind"),
        ({"tenantId": "tenant-creation-1"}, "tenantId"),
        ({"name": "nul\0"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"startedAfter": "yesterday"}, "startedAfter"),
        ({"startedAfter": "2025-03-01"}, "startedAfter"),
        ({"startedAfter": "2025-03-01T12:00:00"}, "startedAfter"),
        ({"startedBefore": "1760000000"}, "startedBefore"),
        ({"startedBefore": "9999-12-31T23:59:59-12:00"}, "startedBefore"),
        ({"pageSize": "0"}, "pageSize"),
        ({"pageSize": "201"}, "pageSize"),
        ({"pageSize": "many"}, "pageSize"),
        ({"pageToken": "nonsense"}, "pageToken"),
        ({"pageToken": ""}, "pageToken"),
        ({"pageToken": "9" * 16 + "-" + "61" * 5000 + "-"}, "pageToken"),
    ],
)
async def test_an_invalid_parameter_is_named(http: httpx.AsyncClient, params: dict[str, str], field: str) -> None:
    response = await http.get("/operations", params=params)
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == [field]


@pytest.mark.parametrize(
    "token", ["0000000000000000-00-", "9999999999999999-ff00fe-00", "1740000000000000-61-6161"], ids=range(3)
)
async def test_a_forged_token_is_accepted(http: httpx.AsyncClient, token: str) -> None:
    assert (await http.get("/operations", params={"pageToken": token})).status_code == 200
