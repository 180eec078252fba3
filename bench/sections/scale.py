"""Scale: whether the same work slows down as the number of other tenants grows."""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack
from functools import partial

import asyncpg

from bench.context import Context, MeasuringError
from bench.databases.filling import Filling
from bench.http import HttpClient
from bench.reporting.timing import Once, one_by_one
from tests.support.waiting import wait_until

SIZES = (100, 1_000, 10_000)
QUICK_SIZES = (20, 100)
# The largest tables; ten thousand tenants have more than a million rows in each.
LARGE_TABLES = ("permissions", "role_permissions")
WARM_UP = 5
WAIT_SECONDS = 60.0


async def measure(context: Context) -> None:
    """Measure creation, status, lists and rollback at each size; they should stay flat."""
    options = context.options
    await context.worker()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(context.client())
        template = (await context.tenant(http)).json()
        connection = await asyncpg.connect(context.bench.endpoints.admin_database_url)
        stack.push_async_callback(connection.close)
        filling = await Filling.like(connection, template["tenantId"])
        await one_by_one(lambda: context.tenant(http), WARM_UP)
        for size in QUICK_SIZES if options.quick else SIZES:
            begun = time.perf_counter()
            await filling.fill(size)
            context.say(f"  {size} tenants, filled in {time.perf_counter() - begun:.0f} s")
            await _measure_at(context, http, connection, size)
            for table in LARGE_TABLES:
                context.figures.add(
                    f"scale.{size}.{table}", f"{size:,} tenants: {table}", await filling.rows(table), "rows"
                )


async def _measure_at(context: Context, http: HttpClient, connection: asyncpg.Connection, size: int) -> None:
    label, name = f"{size:,} tenants", f"scale.{size}"
    count = context.options.few(15, 3)
    finished = str((await context.tenant(http)).json()["workflowId"])
    lists = {
        "list": "/operations?pageSize=50",
        "list.status": "/operations?pageSize=50&status=completed",
        "list.name": "/operations?pageSize=50&name=no-such-name",
    }
    works: dict[str, Once] = {
        "creation": lambda: context.tenant(http),
        "status": lambda: _read(http, f"/tenants/{finished}/status"),
        **{kind: partial(_read, http, path) for kind, path in lists.items()},
    }
    for work, once in works.items():
        taken = await one_by_one(once, count)
        context.figures.add(f"{name}.{work}", f"{label}: {work}", statistics.median(taken), "ms")
    rollbacks = [await _roll_back(context, http, connection) for _ in range(context.options.few(5, 1))]
    context.figures.add(f"{name}.rollback", f"{label}: rollback", statistics.median(rollbacks), "ms")


async def _read(http: HttpClient, path: str) -> None:
    response = await http.get(path)
    if response.status != 200:  # noqa: PLR2004 - OK
        raise MeasuringError(f"{path} got status {response.status}: {response.body.decode()[:500]}")


async def _roll_back(context: Context, http: HttpClient, connection: asyncpg.Connection) -> float:
    """Return the milliseconds from releasing a cancelled operation until it is cancelled."""
    request = context.request()
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", request["adminUser"]["email"])
    path = f"/tenants/{(await http.post('/tenants', request)).json()['workflowId']}"

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return bool(await connection.fetchval(waiting))

    await wait_until(waits, timeout=WAIT_SECONDS, every=0.01)
    await http.request("DELETE", path)
    begun = time.perf_counter()
    await connection.execute("SELECT pg_advisory_unlock_all()")
    while (await http.get(f"{path}/status")).json()["status"] != "cancelled":
        if time.perf_counter() - begun > WAIT_SECONDS:
            raise MeasuringError(f"{path} was not cancelled in time")
        await asyncio.sleep(0.005)
    return (time.perf_counter() - begun) * 1000
