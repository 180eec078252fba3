"""The observer of snapshots, which tests of restarts rely on, reports each part of a tenant that was visible."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.activities.purge.rows import RowWriter
from tests.e2e.visibility import observing, rows_in
from tests.support.alga import ALGA, CATALOGS
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

Connect = Callable[[], AbstractAsyncContextManager[asyncpg.Connection]]


@pytest.fixture(scope="module")
def connect(new_database: NewDatabase, alga_plain_template: str) -> Connect:
    """Opens connections to all of Alga's tables."""
    return partial(connected, new_database(alga_plain_template))


async def test_the_observer_reports_the_rows_of_a_transaction_together(connect: Connect) -> None:
    tenant_id = uuid4()
    async with connect() as database, observing(connect) as observer:
        async with by_hand(database):
            await database.execute(one_row(tenant_id, "tenants"))
            await database.execute(one_row(tenant_id, "tenant_settings"))
            await observer.look()
        await observer.look()
    assert rows_in(observer.now[str(tenant_id)]) == 2
    assert not list(observer.incomplete_views({str(tenant_id)}))


async def test_the_observer_reports_a_tenant_written_in_two_transactions(connect: Connect) -> None:
    tenant_id = uuid4()
    async with connect() as database, observing(connect) as observer:
        for table in ("tenants", "tenant_settings"):
            async with by_hand(database):
                await database.execute(one_row(tenant_id, table))
            await observer.look()
    [seen] = observer.incomplete_views({str(tenant_id)})
    assert seen.startswith(f"tenant {tenant_id} had 1 of 2 rows, with 1 tables incomplete (tenant_settings), in ")


async def test_the_observer_reports_each_row_of_incomplete_tenants(connect: Connect) -> None:
    columns = {"tenants": "tenant", "agents": "tenant", "extensions": "tenant_id", "extension_storage": "tenant_id"}
    tenant_ids = {table: uuid4() for table in columns}
    async with connect() as database, observing(connect) as observer:
        async with by_hand(database):
            for table, tenant_id in tenant_ids.items():
                await database.execute(one_row(tenant_id, table))
        await observer.look()
        for table, tenant_id in tenant_ids.items():
            statement = f"DELETE FROM {table} WHERE {columns[table]}::text = $1"  # noqa: S608 - names of this test
            await database.execute(statement, str(tenant_id))
        await observer.look()
    seen = sorted(view.partition(" in ")[0] for view in observer.incomplete_views(()))
    assert seen == sorted(f"tenant {tenant_id} had 1 rows instead of none" for tenant_id in tenant_ids.values())


async def test_the_observer_reports_a_tenant_that_disappears_for_a_while(connect: Connect) -> None:
    tenant_id = uuid4()
    async with connect() as database, observing(connect) as observer:
        for _ in range(2):
            await database.execute("DELETE FROM tenants WHERE tenant = $1", tenant_id)
            await observer.look()
            async with by_hand(database):
                await database.execute(one_row(tenant_id, "tenants"))
            await observer.look()
    [seen] = observer.incomplete_views({str(tenant_id)})
    assert seen.startswith(f"tenant {tenant_id} had no rows in ")


@asynccontextmanager
async def by_hand(database: asyncpg.Connection) -> AsyncIterator[None]:
    """Open a transaction without foreign key checks."""
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        yield


def one_row(tenant_id: UUID, table: str) -> str:
    [statement] = RowWriter(json.loads((ALGA / CATALOGS["plain"]).read_text())).rows_of(tenant_id, [table])
    return statement


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
