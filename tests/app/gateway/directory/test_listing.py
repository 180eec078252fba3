"""Pages of tenants: their order, search, filters, and which callers see them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy import event

from app.gateway.directory.listing import TenantListing
from tests.app.gateway.directory.listed import ids, listed
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import NOON, add_tenant, add_user
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


async def test_the_newest_is_first_and_a_tenant_without_a_date_last(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"Ordered {uuid4()}"
    older, newest = [
        await add_tenant(shaped_database, name, created_at=NOON + timedelta(minutes=minutes)) for minutes in (1, 2)
    ]
    expected = ids(newest, older)
    if await _may_lack_a_date(shaped_database):
        expected += ids(await add_tenant(shaped_database, name, created_at=None))
    assert await listed(shaped_http, search=name) == expected


async def _may_lack_a_date(database: asyncpg.Connection) -> bool:
    sql = "SELECT NOT attnotnull FROM pg_attribute WHERE attrelid = 'tenants'::regclass AND attname = 'created_at'"
    return bool(await database.fetchval(sql))


async def test_pages_have_each_tenant_once_while_others_are_added(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"Paged {uuid4()}"
    # Some have the same time, and are ordered by their ids.
    made = {
        str(await add_tenant(shaped_database, name, created_at=NOON + timedelta(microseconds=number // 3)))
        for number in range(7)
    }
    if await _may_lack_a_date(shaped_database):
        made |= {str(await add_tenant(shaped_database, name, created_at=None)) for _ in range(2)}
    seen: list[str] = []
    token = None
    while True:
        params: dict[str, Any] = {"search": name, "pageSize": 2, **({"pageToken": token} if token else {})}
        page = (await shaped_http.get("/tenants", params=params)).json()
        seen += [tenant["tenantId"] for tenant in page["tenants"]]
        if (token := page["nextPageToken"]) is None:
            break
        await add_tenant(shaped_database, name, created_at=NOON + timedelta(days=1))
    assert len(seen) == len(made)
    assert set(seen) == made


async def test_a_search_finds_part_of_a_name_or_an_email_in_any_case(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    marker = uuid4().hex
    by_name = await add_tenant(shaped_database, f"Grüße {marker}", created_at=NOON)
    by_email = await add_tenant(shaped_database, email=f"ada@{marker}.example", created_at=NOON - timedelta(days=1))
    assert await listed(shaped_http, search=marker.upper()) == ids(by_name, by_email)
    assert await listed(shaped_http, search=f"grüße {marker}") == ids(by_name)
    assert await listed(shaped_http, search=f"ADA@{marker}") == ids(by_email)
    for search in (str(by_name), str(by_name).upper()):
        assert await listed(shaped_http, search=search) == ids(by_name)
    assert await listed(shaped_http, search=str(uuid4())) == []


@pytest.mark.parametrize("sign", ["%", "_", "\\", "/", "'"])
async def test_a_search_has_no_wildcards(http: httpx.AsyncClient, database: asyncpg.Connection, sign: str) -> None:
    marker = uuid4().hex
    found = await add_tenant(database, f"{marker}{sign}x")
    await add_tenant(database, f"{marker}yx")
    assert await listed(http, search=f"{marker}{sign}") == ids(found)


async def test_tenants_are_filtered_by_product_and_state(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"Filtered {uuid4()}"
    active = await add_tenant(shaped_database, name, product_code="psa")
    desk = await add_tenant(shaped_database, name, product_code="algadesk", created_at=NOON - timedelta(days=1))
    gone: dict[str, Any] = {"suspended_at": NOON, "created_at": NOON - timedelta(days=2)}
    if await shaped_database.fetchval("SELECT true FROM pg_attribute WHERE attname = 'suspended_reason'"):
        gone["suspended_reason"] = "tenant_cancelled"
    suspended = await add_tenant(shaped_database, name, **gone)
    assert await listed(shaped_http, search=name, productCode="algadesk") == ids(desk)
    assert await listed(shaped_http, search=name, state="active") == ids(active, desk)
    assert await listed(shaped_http, search=name, state="suspended", productCode="psa") == ids(suspended)
    assert (await shaped_http.get(f"/tenants/{suspended}")).json()["state"] == "suspended"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"search": "a\0b"}, "search"),
        ({"search": "x" * 256}, "search"),
        ({"productCode": "other"}, "productCode"),
        ({"state": "gone"}, "state"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 201}, "pageSize"),
        ({"pageToken": ""}, "pageToken"),
        ({"pageToken": "nonsense"}, "pageToken"),
        ({"pageToken": f"{'3' * 18}-{'0' * 32}"}, "pageToken"),
    ],
)
async def test_an_invalid_parameter_is_named(http: httpx.AsyncClient, params: dict[str, Any], field: str) -> None:
    response = await http.get("/tenants", params=params)
    assert_problem(response, 422, "invalid-request")
    assert faults(response).keys() == {field}


@pytest.mark.parametrize("token", [f"{'0' * 18}-{'0' * 32}", f"{'29' * 9}-{'f' * 32}"])
async def test_a_forged_token_is_accepted(http: httpx.AsyncClient, token: str) -> None:
    assert (await http.get("/tenants", params={"pageToken": token})).status_code == 200


async def test_a_bound_caller_sees_only_its_own_tenant(
    gateway: RunningGateway, keys: Keys, database: asyncpg.Connection
) -> None:
    name = f"Bound {uuid4()}"
    own, other = [await add_tenant(database, name) for _ in range(2)]
    created = await keys.create("bound", tenant_id=own)
    key_id = created.record.key_id
    async with gateway.client(**{"X-API-Key": created.key}) as http:
        assert await listed(http) == ids(own)
        assert await listed(http, search=name) == ids(own)
        assert await listed(http, search=str(other)) == []
        assert (await http.get(f"/tenants/{own}")).status_code == 200
        hidden, unknown = [await http.get(f"/tenants/{tenant_id}") for tenant_id in (other, uuid4())]
    for response in (hidden, unknown):
        assert_problem(response, 404, "tenant-not-found")
    assert hidden.json()["detail"] == unknown.json()["detail"]

    async def is_recorded() -> bool:
        denied = "SELECT sum(count) FROM alga_tenants.audit_events WHERE reason = 'tenant-not-found' AND caller = $1"
        return bool(await database.fetchval(denied, f"key:{key_id}") == 2)

    await wait_until(is_recorded, timeout=30.0)


async def test_a_page_of_any_size_takes_three_statements(
    gateway: RunningGateway, database: asyncpg.Connection
) -> None:
    name = f"Counted {uuid4()}"
    for _ in range(20):
        await add_user(database, await add_tenant(database, name))
    engine = gateway.app.state.services[TenantListing].engine.sync_engine
    sent: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM tenants" in statement or "FROM alga_tenants.deletions" in statement:
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        async with gateway.client() as http:
            page = (await http.get("/tenants", params={"search": name})).json()
    finally:
        event.remove(engine, "before_cursor_execute", record)
    assert [tenant["userCount"] for tenant in page["tenants"]] == [1] * 20
    assert len(sent) == 3
