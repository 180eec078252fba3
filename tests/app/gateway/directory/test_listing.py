"""Tenants in the database: pages of them, one of them, and which callers see them."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import event, make_url

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.gateway.directory.listing import TenantListing
from app.settings import Settings
from migrations.upgrade import upgrade
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.rows import NOON, add_client, add_tenant, add_user
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.servers.databases import NewDatabase
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["development", "plain", "citus"])
def shaped_settings(
    request: pytest.FixtureRequest, settings: Settings, new_database: NewDatabase, postgres: EmbeddedPostgres
) -> Settings:
    """Return settings with a database of this module, for each schema of Alga's tables."""
    names = {"development": "migrated_template"}
    url = new_database(request.getfixturevalue(names.get(request.param, f"alga_{request.param}_template")))
    run_blocking(_grant(url, str(urlsplit(postgres.url).username)))
    changes = {"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    return settings.model_copy(update=changes)


async def _grant(url: str, role: str) -> None:
    """Grant the gateway's role the privileges that it has in an installation."""
    await upgrade(make_url(url).set(drivername="postgresql+asyncpg"), gateway_role=role)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def shaped_gateway(shaped_settings: Settings) -> Iterator[RunningGateway]:
    with RunningGateway(shaped_settings, run_blocking(create_key(shaped_settings))) as server:
        yield server


@pytest.fixture
async def shaped_http(shaped_gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with shaped_gateway.client() as client:
        yield client


@pytest.fixture
async def shaped_database(shaped_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(shaped_settings.admin_database_url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def listed(http: httpx.AsyncClient, **params: Any) -> list[str]:
    """Return the ids on the only page."""
    response = await http.get("/tenants", params=params)
    assert response.status_code == 200, response.text
    assert response.json()["nextPageToken"] is None
    return [tenant["tenantId"] for tenant in response.json()["tenants"]]


def ids(*tenants: UUID) -> list[str]:
    return [str(tenant) for tenant in tenants]


async def test_a_tenant_that_was_not_created_here_is_shown(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    name = f"Acme {uuid4()}"
    tenant_id = await add_tenant(shaped_database, name, plan="pro", licensed_user_count=7, product_code="algadesk")
    await add_client(shaped_database, tenant_id, "Customer", is_own=False)
    await add_client(shaped_database, tenant_id, "Acme Holding")
    for number in range(2):
        await add_user(shaped_database, tenant_id, first_name=str(number))
    await add_user(shaped_database, tenant_id, is_inactive=True)
    await add_user(shaped_database, tenant_id, user_type="client")
    await add_user(shaped_database, await add_tenant(shaped_database))
    found = await shaped_http.get(f"/tenants/{tenant_id}")
    assert found.status_code == 200, found.text
    assert found.json() == {
        "tenantId": str(tenant_id),
        "name": name,
        "companyName": "Acme Holding",
        "email": f"{tenant_id}@acme.example",
        "productCode": "algadesk",
        "plan": "pro",
        "state": "active",
        "licenseCount": 7,
        "userCount": 2,
        "createdAt": "2025-03-01T12:00:00Z",
        "links": {"self": f"/tenants/{tenant_id}", "operations": f"/operations?tenantId={tenant_id}"},
    }
    page = await shaped_http.get("/tenants", params={"search": name})
    assert page.json() == {"tenants": [found.json()], "nextPageToken": None}


async def test_optional_fields_of_a_tenant_may_be_missing(
    shaped_http: httpx.AsyncClient, shaped_database: asyncpg.Connection
) -> None:
    found = (await shaped_http.get(f"/tenants/{await add_tenant(shaped_database)}")).json()
    absent = {"companyName": None, "plan": None, "licenseCount": None, "userCount": 0}
    assert {name: found[name] for name in absent} == absent


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


async def test_an_unknown_tenant_is_not_found(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get(f"/tenants/{uuid4()}"), 404, "tenant-not-found")


@pytest.mark.parametrize("path_id", ["tenant-creation-1", "0" * 32, "urn:uuid:0f0e0d0c-0000-4000-8000-000000000000"])
async def test_an_id_that_is_not_a_uuid_names_the_path_of_operations(http: httpx.AsyncClient, path_id: str) -> None:
    response = await http.get(f"/tenants/{path_id}")
    assert_problem(response, 404, "tenant-not-found")
    assert f"/operations/{path_id.replace(':', '%3A')}" in response.json()["detail"]


@pytest.mark.parametrize("path_id", ["%00", "x" * 300, "%F0%9F%8E%84"])
async def test_any_other_id_is_not_found(http: httpx.AsyncClient, path_id: str) -> None:
    response = await http.get(f"/tenants/{path_id}")
    assert_problem(response, 404, "tenant-not-found")
    assert len(response.json()["detail"]) < 300


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


async def test_a_page_of_any_size_takes_two_statements(gateway: RunningGateway, database: asyncpg.Connection) -> None:
    name = f"Counted {uuid4()}"
    for _ in range(20):
        await add_user(database, await add_tenant(database, name))
    engine = gateway.app.state.services[TenantListing].engine.sync_engine
    sent: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "tenants" in statement and "alga_tenants" not in statement:
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", record)
    try:
        async with gateway.client() as http:
            page = (await http.get("/tenants", params={"search": name})).json()
    finally:
        event.remove(engine, "before_cursor_execute", record)
    assert [tenant["userCount"] for tenant in page["tenants"]] == [1] * 20
    assert len(sent) == 2
