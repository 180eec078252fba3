"""The default blueprints' rows in real databases: all of Alga's tables in both shapes, and the development ones."""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.bulk_insert import TableRows
from activities.alga.development import create_development_tables
from activities.alga.tables import alga_metadata, roles, tax_rates, tenants
from tests.activities.conftest import built_in_blueprints
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.inserting import insert

pytestmark = pytest.mark.anyio

TODAY = date(2026, 1, 2)
PRODUCTS = ["psa", "algadesk"]


@pytest.fixture(scope="module", params=["plain", "citus", "development"])
async def database(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    if request.param != "development":
        return new_database(request.getfixturevalue(f"alga_{request.param}_template"))
    url = new_database()
    async with connected(url) as connection:
        await create_development_tables(connection)
    return url


@pytest.fixture
async def connection(database: str) -> AsyncIterator[AsyncConnection]:
    async with connected(database) as connection:
        yield connection


async def new_tenant(connection: AsyncConnection, product: str) -> UUID:
    tenant_id = uuid4()
    row = {"client_name": "Acme", "email": "ada@acme.example", "billing_source": "manual", "product_code": product}
    await insert(connection, tenant_id, TableRows.of(tenants, [row]))
    return tenant_id


async def write(connection: AsyncConnection, blueprint: Blueprint, tenant_id: UUID) -> dict[str, int]:
    """Insert the rows, and return how many each table got."""
    return {rows.table.name: await insert(connection, tenant_id, rows) for rows in blueprint.rows(tenant_id, TODAY)}


async def stored(connection: AsyncConnection, tenant_id: UUID, names: Mapping[str, int]) -> dict[str, int]:
    counts = {}
    for name in names:
        table = alga_metadata.tables[name]
        counted = select(func.count()).select_from(table).where(table.c.tenant == tenant_id)
        counts[name] = await connection.scalar(counted) or 0
    return counts


@pytest.mark.parametrize("product", PRODUCTS)
async def test_as_many_rows_as_alga_writes_are_stored(
    connection: AsyncConnection, golden: Mapping[str, Any], product: str
) -> None:
    tenant_id = await new_tenant(connection, product)
    inserted = await write(connection, built_in_blueprints()[product], tenant_id)
    assert inserted == {name: golden[product]["row_counts"][name] for name in inserted}
    assert await stored(connection, tenant_id, inserted) == inserted


async def test_two_tenants_get_the_same_rows_each(connection: AsyncConnection) -> None:
    one, two = [await new_tenant(connection, "psa") for _ in range(2)]
    blueprint = built_in_blueprints()["psa"]
    assert await write(connection, blueprint, one) == await write(connection, blueprint, two)


async def test_the_administrators_role_is_stored_as_the_msps(connection: AsyncConnection) -> None:
    tenant_id = await new_tenant(connection, "psa")
    blueprint = built_in_blueprints()["psa"]
    await write(connection, blueprint, tenant_id)
    found = await connection.execute(
        select(roles.c.role_name, roles.c.msp, roles.c.client).where(
            roles.c.tenant == tenant_id, roles.c.role_id == blueprint.admin_role_id(tenant_id)
        )
    )
    assert [tuple(row) for row in found] == [("Admin", True, False)]


async def test_the_tax_rate_begins_on_the_day_of_creation(connection: AsyncConnection) -> None:
    tenant_id = await new_tenant(connection, "psa")
    await write(connection, built_in_blueprints()["psa"], tenant_id)
    assert await connection.scalar(select(tax_rates.c.start_date).where(tax_rates.c.tenant == tenant_id)) == TODAY


@pytest.mark.parametrize("product", PRODUCTS)
async def test_the_small_rows_are_algas_in_every_column(
    connection: AsyncConnection, golden: Mapping[str, Any], product: str
) -> None:
    tenant_id = await new_tenant(connection, product)
    inserted = await write(connection, built_in_blueprints()[product], tenant_id)
    for name in inserted.keys() & golden[product]["rows"].keys():
        expected = [_comparable(row) for row in golden[product]["rows"][name]]
        found = await connection.scalars(
            text(f'SELECT to_jsonb(t) FROM "{name}" t WHERE tenant = :tenant'),  # noqa: S608 - a table's name
            {"tenant": tenant_id},
        )
        names = {column for row in expected for column in row}
        rows = [{column: row[column] for column in names} for row in found]
        assert sorted(rows, key=repr) == sorted(
            ({column: row[column] for column in names} for row in expected), key=repr
        )


def _comparable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without values that depend on time, tenant or chance."""
    return {name: value for name, value in row.items() if value not in ("<id>", "<time>") and name != "start_date"}
