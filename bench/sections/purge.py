"""The purge of a large tenant, compared with plain DELETEs of the same rows in the right order."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows, purge_tenant
from bench.context import Context, MeasuringError, in_turns
from bench.databases.large_tenant import grow
from migrations.revisions import admin_engine

KINDS = {"purge": "purge, with its proof", "deletes": "plain DELETEs in the right order"}


class Comparison(NamedTuple):
    """The seconds for each way in each round, and the numbers of rows that both deleted, which should be one."""

    seconds: Mapping[str, Sequence[float]]
    rows: set[int]


async def measure(context: Context) -> None:
    """Measure both for a tenant that the service has created."""
    await context.worker()
    async with context.client() as http:
        tenant_id = UUID((await context.tenant(http)).json()["tenantId"])
    admin_url, options = context.bench.endpoints.admin_database_url, context.options
    measured = await compare(admin_url, tenant_id, options.few(1_000_000, 10_000), options.few(2, 1))
    if len(measured.rows) > 1:
        raise MeasuringError(f"purge and DELETEs deleted different numbers of rows: {measured.rows}")
    context.figures.add("purge.rows", "rows of the tenant", measured.rows.pop(), "")
    for kind, label in KINDS.items():
        context.figures.add_rounds(f"purge.{kind}", label, measured.seconds[kind], "s")


async def compare(admin_url: str, tenant_id: UUID, rows: int, rounds: int) -> Comparison:
    """Add the rows, then delete and restore all of the tenant's several times."""
    ways = {"purge": _purge, "deletes": _delete}
    seconds: dict[str, list[float]] = {kind: [] for kind in ways}
    numbers = set()
    async with AsyncExitStack() as stack:
        filling = await asyncpg.connect(admin_url)
        stack.push_async_callback(filling.close)
        await grow(filling, tenant_id, rows)
        engine = admin_engine(make_url(admin_url).set(drivername="postgresql+asyncpg"))
        stack.push_async_callback(engine.dispose)
        connection = await stack.enter_async_context(engine.connect())
        for number in range(rounds):
            for kind in in_turns(list(ways), number):
                deleted, taken = await ways[kind](connection, tenant_id)
                await connection.rollback()
                numbers.add(deleted)
                seconds[kind].append(taken)
    return Comparison(seconds, numbers)


async def _purge(connection: AsyncConnection, tenant_id: UUID) -> tuple[int, float]:
    begun = time.perf_counter()
    catalogue = await read_catalogue(connection)
    report = await purge_tenant(connection, catalogue, tenant_id, management_tenant_id=None)
    return sum(report.deleted_rows.values()), time.perf_counter() - begun


async def _delete(connection: AsyncConnection, tenant_id: UUID) -> tuple[int, float]:
    """Send only the statements that are needed if tables and order are known before."""
    catalogue = await read_catalogue(connection)
    occupied = await count_tenant_rows(connection, catalogue, tenant_id)
    order = [table for table in catalogue.deletion_plan().order if table.label in occupied]
    deleted, begun = 0, time.perf_counter()
    for table in order:
        if table.tenant is not None:
            statement = f"DELETE FROM {table.label} WHERE {table.tenant.name} = $1"  # noqa: S608 - names from the catalogue
            deleted += (await connection.exec_driver_sql(statement, (tenant_id,))).rowcount
    return deleted, time.perf_counter() - begun
