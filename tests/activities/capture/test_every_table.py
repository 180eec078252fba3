"""A tenant with a row in every table, and a secret in every column that may hold one."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.alga.blueprints.section_rules import WRITTEN_FROM_REQUEST
from activities.alga.confidential import columns
from activities.alga.notifications import SOURCES
from activities.capture.file import blueprint_text
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.activities.capture.conftest import Capture, Provision, loaded
from tests.activities.conftest import sqlalchemy_url
from tests.activities.purge.rows import RowWriter
from tests.support.alga import catalog
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.rows import row_counts, tenant_tables

pytestmark = pytest.mark.anyio

PLANTED = "planted-7f3c"
# This column excludes another one.
NOT_PLANTED = {("credential_associations", "credential_ref")}
# The row writer fills only what a table demands, and so no check knows these columns.
AS_A_MODEL = (
    "UPDATE tenants SET product_code = 'psa' WHERE tenant = '{tenant}'",
    "UPDATE roles SET role_name = 'Admin', msp = true, client = false WHERE tenant = '{tenant}'",
    "UPDATE tenant_companies SET is_default = true WHERE tenant = '{tenant}'",
)
WRITTEN_BY_EACH_CREATION = WRITTEN_FROM_REQUEST | {source.settings.name for source in SOURCES}


@pytest.fixture(scope="module", params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    """The URL of a database of its own, because the rows that this module adds are for all tenants, too."""
    url = new_database(request.getfixturevalue(f"alga_{request.param}_template"))
    run_blocking(upgrade(sqlalchemy_url(url)))
    return url


@pytest.fixture
async def full_tenant(database: asyncpg.Connection, database_shape: str) -> UUID:
    """A tenant with a row in every table."""
    tenant_id = uuid4()
    writer = RowWriter(catalog(database_shape))
    statements = [
        "SET LOCAL session_replication_role = replica",
        *(f"{statement} ON CONFLICT DO NOTHING" for statement in writer.global_rows()),
        *writer.rows_of(tenant_id),
        *(statement.format(tenant=tenant_id) for statement in AS_A_MODEL),
    ]
    async with database.transaction():
        await database.execute(";\n".join(statements))
    return tenant_id


@pytest.fixture
def database_shape(request: pytest.FixtureRequest) -> str:
    """The shape of the database's keys."""
    return str(request.node.callspec.params["database_url"])


async def test_rows_of_every_table_are_captured_without_secrets_and_can_be_inserted(
    full_tenant: UUID, capture: Capture, provision: Provision, database: asyncpg.Connection, tmp_path: Path
) -> None:
    assert await _plant(database, full_tenant) > 60
    captured = await capture(full_tenant, only=await tenant_tables(database))
    assert PLANTED not in blueprint_text(captured.document)
    # What is left out is named with its reason, table by table.
    named = {item.table for item in captured.left_out}
    expected = (await row_counts(database, full_tenant)).keys() - WRITTEN_BY_EACH_CREATION
    assert named | captured.rows.keys() >= expected
    blueprint = loaded(captured, tmp_path)
    counts = await row_counts(database, await provision(blueprint))
    assert len(blueprint.model.rows) > 200
    assert blueprint.model.rows.keys() <= counts.keys()
    assert any(section.later for section in blueprint.model.rows.values())


async def _plant(database: asyncpg.Connection, tenant_id: UUID) -> int:
    """Write a secret into each listed column, and into each that has a secret's name; return how many took it."""
    listed = columns._listed()
    tables = catalog("plain")["tables"]
    places = {
        (table, name)
        for table, facts in tables.items()
        for name, column in facts["columns"].items()
        if facts["tenant_column"]
        and (
            name in listed.columns.get(table, ())
            or name in listed.keys.get(table, ())
            or columns.is_secret_name(name)
        )
        and column["type"].startswith(("text", "character varying", "json"))
    }
    statements = []
    for table, name in sorted(places - NOT_PLANTED):
        sql_type, owner = tables[table]["columns"][name]["type"], tables[table]["tenant_column"]
        is_json = sql_type.startswith("json")
        secret = json.dumps({"config": [{"password": PLANTED}], "apiKey": PLANTED}) if is_json else PLANTED
        statements.append(f'UPDATE "{table}" SET "{name}" = \'{secret}\' WHERE "{owner}"::text = \'{tenant_id}\'')  # noqa: S608 - names of the catalogue
    async with database.transaction():
        await database.execute(";\n".join(statements))
    return len(statements)
