"""The gateway's own database role, created by the SQL in docs/security.md."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from app.doctor import Finding, check_databases
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from app.settings.types import sqlalchemy_url
from migrations.upgrade import upgrade
from tests.app.gateway.requests import create
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
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> AsyncIterator[Settings]:
    """Settings with the documented role, in a database whose gateway had Alga's role before."""
    url = new_database(migrated_template)
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


async def role_finding(settings: Settings) -> Finding:
    findings = {finding.subject: finding async for finding in check_databases(settings)}
    return findings["database (DATABASE_URL)"]


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


async def test_the_documented_role_is_sufficient_and_cannot_write_algas_tables(own_role: Settings) -> None:
    assert (await role_finding(own_role)).level == "ok"
    async with open_keys(own_role) as keys:
        key = (await keys.create()).key
    with RunningGateway(own_role, key) as gateway:
        async with gateway.client() as http:
            await create(http)
            for path in ("/tenants", "/operations", "/api-keys", "/audit-events"):
                assert (await http.get(path)).status_code == 200, path
    connection = await asyncpg.connect(own_role.database_url.get_secret_value())
    try:
        for statement in ("DELETE FROM users", "UPDATE tenants SET tenant = tenant", "SELECT * FROM tickets"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedTableError)):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_algas_role_cannot_access_our_tables_then(own_role: Settings, settings: Settings) -> None:
    database = urlsplit(own_role.database_url.get_secret_value()).path
    algas = urlsplit(settings.database_url.get_secret_value())._replace(path=database).geturl()
    connection = await asyncpg.connect(algas)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT * FROM alga_tenants.api_keys")
    finally:
        await connection.close()
