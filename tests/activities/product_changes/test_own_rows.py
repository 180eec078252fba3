"""Rows that a tenant has renamed, deleted or made itself neither fail a change of product nor are doubled."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.product_changes.activities import ProductChangeActivities
from activities.product_changes.natural_keys import NATURAL_KEYS
from tests.activities.product_changes.conftest import Insert, NewTenant, change

pytestmark = pytest.mark.anyio

GRANTS = """
    SELECT count(*) FROM role_permissions g JOIN roles r USING (tenant, role_id)
    WHERE tenant = $1 AND r.role_name = $2 AND r.msp = ($3 = 'msp')
"""


async def doubled(database: asyncpg.Connection, tenant_id: UUID) -> list[Any]:
    """Return the natural keys that more than one row of the tenant has."""
    found = []
    for name, key in NATURAL_KEYS.items():
        columns = ", ".join(key.columns)
        query = f"SELECT {columns} FROM {name} WHERE tenant = $1 GROUP BY {columns} HAVING count(*) > 1"  # noqa: S608
        found += [(name, tuple(row)) for row in await database.fetch(query, tenant_id)]
    return found


async def test_renamed_deleted_and_own_rows_are_neither_in_the_way_nor_doubled(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert
) -> None:
    tenant_id, model = await new_tenant(), await new_tenant("psa")
    own = {"tenant": tenant_id}
    rename = "UPDATE roles SET role_name = 'Customer' WHERE tenant = $1 AND role_name = 'User' RETURNING role_id"
    renamed = await database.fetchval(rename, tenant_id)
    grants = await database.fetchval(GRANTS, tenant_id, "Customer", "client")
    # Without its grants, which refer to it.
    gone = "SELECT role_id FROM roles WHERE tenant = $1 AND role_name = 'Agent'"
    for table in ("role_permissions", "roles"):
        await database.execute(f"DELETE FROM {table} WHERE tenant = $1 AND role_id = ({gone})", tenant_id)  # noqa: S608
    permission = "SELECT permission_id FROM permissions WHERE tenant = $1 AND resource = 'tag' AND action = 'create'"
    for table in ("role_permissions", "permissions"):
        await database.execute(
            f"DELETE FROM {table} WHERE tenant = $1 AND permission_id = ({permission})",  # noqa: S608 - ours
            tenant_id,
        )
    technician, folder, region = uuid4(), uuid4(), "DEFAULT"
    await insert("roles", **own, role_id=technician, role_name="Technician", msp=True, client=False)
    status = {"status_type": "project_task", "item_type": "project_task", "is_default": True}
    await insert("statuses", **own, name="Waiting", order_number=2, **status)
    await insert("statuses", **own, name="Blocked", order_number=7, **{**status, "is_default": False})
    place = {"entity_type": "client", "folder_name": "Logos", "folder_path": "/Clients/Logos"}
    await insert("document_default_folders", **own, default_folder_id=folder, **place)
    await insert("asset_type_registry", **own, slug="server", name="Servers of ours")
    await insert("tax_regions", **own, region_code=region, region_name="Ours")

    await change(changing, tenant_id)

    assert await doubled(database, tenant_id) == []
    for name, key in NATURAL_KEYS.items():
        columns = ", ".join(key.columns)
        query = f"SELECT {columns} FROM {name} WHERE tenant = $1"  # noqa: S608 - ours
        has, wanted = [{tuple(row) for row in await database.fetch(query, id_)} for id_ in (tenant_id, model)]
        assert wanted <= has, name
    # The renamed row is a thing of its own now, and the own ones serve in the place of new ones.
    assert await database.fetchval("SELECT role_name FROM roles WHERE role_id = $1", renamed) == "Customer"
    assert await database.fetchval(GRANTS, tenant_id, "Customer", "client") == grants
    for role in ("Technician", "Dispatcher"):
        assert await database.fetchval(GRANTS, tenant_id, role, "msp") == await database.fetchval(
            GRANTS, model, role, "msp"
        )
    orders = "SELECT name, order_number, is_default FROM statuses WHERE tenant = $1 ORDER BY order_number"
    assert [tuple(row) for row in await database.fetch(orders, tenant_id)] == [
        ("To Do", 1, False),
        ("Waiting", 2, True),
        ("Blocked", 7, False),
        ("In Progress", 8, False),
        ("Done", 9, False),
    ]
    name = "SELECT name FROM asset_type_registry WHERE tenant = $1 AND slug = 'server'"
    assert await database.fetchval(name, tenant_id) == "Servers of ours"


async def test_ids_of_alga_are_used_in_the_place_of_ours(
    changing: ProductChangeActivities, new_tenant: NewTenant, database: asyncpg.Connection
) -> None:
    """Alga itself makes random ids."""
    tenant_id, model = await new_tenant(), await new_tenant("psa")
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        for table, column in (("roles", "role_id"), ("permissions", "permission_id")):
            for row in await database.fetch(f"SELECT {column} FROM {table} WHERE tenant = $1", tenant_id):  # noqa: S608
                new = uuid4()
                for referring in {table, "role_permissions", "user_roles" if table == "roles" else table}:
                    update = f"UPDATE {referring} SET {column} = $3 WHERE tenant = $1 AND {column} = $2"  # noqa: S608
                    await database.execute(update, tenant_id, row[0], new)
    await change(changing, tenant_id)
    assert await doubled(database, tenant_id) == []
    for role in ("Admin", "Technician", "Finance"):
        number = await database.fetchval(GRANTS, tenant_id, role, "msp")
        assert number >= await database.fetchval(GRANTS, model, role, "msp"), role
