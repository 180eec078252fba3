"""The gateway's own database role, created by the SQL in docs/security.md."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.doctor import Finding, check_databases
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from app.settings.types import sqlalchemy_url
from migrations.upgrade import upgrade
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.rows import add_tenant, add_user
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import open_keys
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

ROLE = "alga_tenants_gateway"
PASSWORD = "made-for-this-test"
SECURITY = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
MAKE_ROLE, LOCK_OUT = re.findall(r"```sql\n(.*?)```", SECURITY, re.DOTALL)


@pytest.fixture
async def own_role(
    settings: Settings, new_database: NewDatabase, postgres: EmbeddedPostgres, request: pytest.FixtureRequest
) -> AsyncIterator[Settings]:
    """Settings with the documented role, in a database whose gateway had Alga's role before.

    The parameter is the fixture of another template of the database.
    """
    url = new_database(request.getfixturevalue(getattr(request, "param", "migrated_template")))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(MAKE_ROLE.replace("<password>", PASSWORD))
        await upgrade(sqlalchemy_url(SecretStr(url)), gateway_role=ROLE)
        await connection.execute(LOCK_OUT)
        server = urlsplit(url)
        netloc = f"{ROLE}:{quote(PASSWORD)}@{server.hostname}:{server.port}"
        changes = {
            "database_url": SecretStr(server._replace(netloc=netloc).geturl()),
            "admin_database_url": SecretStr(url),
        }
        yield settings.model_copy(update=changes)
    finally:
        await connection.execute(f"DROP OWNED BY {ROLE}")
        await connection.close()
        server_wide = await asyncpg.connect(postgres.admin_url)
        await server_wide.execute(f"DROP ROLE {ROLE}")
        await server_wide.close()


async def role_finding(settings: Settings, subject: str = "database (DATABASE_URL)") -> Finding:
    findings = {finding.subject: finding async for finding in check_databases(settings)}
    return findings[subject]


async def test_doctor_warns_of_a_role_that_may_write_algas_tables(settings: Settings) -> None:
    found = await role_finding(settings)
    assert found.level == "warning"
    assert "users" in found.problem
    assert "docs/security.md" in found.remedy


async def test_doctor_warns_of_a_right_on_one_column(own_role: Settings) -> None:
    connection = await asyncpg.connect(own_role.admin_database_url.get_secret_value())
    try:
        await connection.execute(f"GRANT UPDATE (hashed_password) ON users TO {ROLE}")
    finally:
        await connection.close()
    assert (await role_finding(own_role)).problem.endswith("Alga's, too: users")


@pytest.mark.parametrize("own_role", ["alga_plain_template"], indirect=True)
async def test_the_documented_role_is_sufficient_and_reads_no_secrets(own_role: Settings) -> None:
    assert (await role_finding(own_role)).level == "ok"
    assert (await role_finding(own_role, "footprints")).problem == "the gateway's role may count every table"
    async with running(own_role) as http, connected(own_role.admin_database_url) as administrator:
        await create(http)
        tenant_id = await add_tenant(administrator)
        await add_user(administrator, tenant_id)
        tenant = f"/tenants/{tenant_id}"
        for path in ("/tenants", tenant, f"{tenant}/users", f"{tenant}/footprint"):
            assert (await http.get(path)).status_code == 200, path
        for path in ("/tenants?state=deleted", "/operations", "/api-keys", "/audit-events"):
            assert (await http.get(path)).status_code == 200, path
        suspension = await http.put(f"{tenant}/suspension", json={"reason": "unpaid"}, headers={"Prefer": "wait=0"})
        assert suspension.status_code == 202, suspension.text
    refused = ("DELETE FROM users", "UPDATE tenants SET tenant = tenant", "SELECT hashed_password FROM users")
    async with connected(own_role.database_url) as connection:
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


@pytest.mark.parametrize("number", [1, 6])
async def test_a_footprint_names_the_right_that_the_role_lacks(own_role: Settings, number: int) -> None:
    async with running(own_role) as http, connected(own_role.admin_database_url) as administrator:
        path = f"/tenants/{await add_tenant(administrator)}/footprint"
        for name in range(number):
            await administrator.execute(f'CREATE TABLE "Later {name}" (tenant uuid)')
        finding = await role_finding(own_role, "footprints")
        assert finding.level == "warning"
        assert '"Later 0"' in finding.problem
        response = await http.get(path)
        assert_problem(response, 501, "database-rights-missing")
        assert '"Later 0"' in response.json()["detail"]
        (grant,) = re.findall(rf"GRANT SELECT ON .* TO {ROLE}", response.json()["detail"])
        await administrator.execute(grant)
        assert (await http.get(path)).status_code == 200


@asynccontextmanager
async def connected(url: SecretStr) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_keys(settings) as keys:
        key = (await keys.create()).key
    with RunningGateway(settings, key) as gateway:
        async with gateway.client() as http:
            yield http


async def test_algas_role_cannot_access_our_tables_then(own_role: Settings, settings: Settings) -> None:
    database = urlsplit(own_role.database_url.get_secret_value()).path
    algas = urlsplit(settings.database_url.get_secret_value())._replace(path=database).geturl()
    connection = await asyncpg.connect(algas)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT * FROM alga_tenants.api_keys")
    finally:
        await connection.close()
