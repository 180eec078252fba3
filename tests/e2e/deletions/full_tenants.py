"""Tenants with a row in every table that can hold a tenant's rows."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import make_url

from activities.database.engines import create_engine
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import purge_tenant
from tests.activities.purge.rows import RowWriter
from tests.support.alga import catalog

RECORDS = "pending_tenant_deletions"
# On Citus it is local to the coordinator, where no foreign key can tie it to a tenant.
LOOSEN = f"ALTER TABLE {RECORDS} DROP CONSTRAINT IF EXISTS {RECORDS}_tenant_foreign"
# An inactive person, one of whom nothing is known, and one in the customer portal.
PEOPLE: tuple[dict[str, Any], ...] = (
    {"is_inactive": True},
    {"is_inactive": None},
    {"is_inactive": False, "user_type": "client"},
)
ONE_MORE = """
    INSERT INTO users SELECT (jsonb_populate_record(other, $2)).* FROM users other
    WHERE tenant = $1 ORDER BY user_id LIMIT 1
"""


async def write_tenant(database: asyncpg.Connection, shape: str, tenant_id: UUID) -> None:
    """Write one row into every table but that of Alga's deletions, and more people."""
    writer = RowWriter(catalog(shape))
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(";".join(writer.rows_of(tenant_id, writer.owned - {RECORDS})))
        for number, person in enumerate(PEOPLE):
            name = f"person-{number}-{tenant_id}"
            own = {"user_id": str(uuid4()), "username": name, "email": f"{name}@acme.example", **person}
            await database.execute(ONE_MORE, tenant_id, json.dumps(own))


@asynccontextmanager
async def removing(url: str, tenant_ids: Sequence[UUID]) -> AsyncIterator[None]:
    """Remove what is left of the tenants at the end."""
    try:
        yield
    finally:
        admin = make_url(url).set(drivername="postgresql+asyncpg")
        engine = create_engine(admin, application_name="tests", pool_size=1, statement_timeout=60)
        async with engine.begin() as connection:
            catalogue = await read_catalogue(connection)
            for tenant_id in tenant_ids:
                await purge_tenant(connection, catalogue, tenant_id, management_tenant_id=None)
        await engine.dispose()
