"""A tenant's cost in the database: time, statements and round trips by process, compared with COPY of its rows."""

import asyncio
import statistics
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from app.embedded.processes.ports import LOOPBACK
from bench.context import Context
from bench.databases.copying import TenantCopy
from bench.databases.counting import CountingProxy
from bench.http import HttpClient
from bench.reporting.timing import one_by_one
from bench.wire import Transaction

TASK_QUEUE = "bench-database"
# So that only tenants are counted.
ENVIRONMENT = {"TEMPORAL_TASK_QUEUE": TASK_QUEUE, "MAINTENANCE_INTERVAL": "3600"}
GATEWAY = "gateway"
WORKER = "worker"
WARM_UP = 10
Costs = dict[str, Transaction]


async def measure(context: Context) -> None:
    """Measure a gateway and a worker behind a counting proxy each, and COPY behind the worker's."""
    endpoints = context.bench.endpoints
    port = urlsplit(endpoints.admin_database_url).port or 5432
    async with AsyncExitStack() as stack:
        gateway_proxy = await stack.enter_async_context(CountingProxy(port))
        worker_proxy = await stack.enter_async_context(CountingProxy(port))
        gateway_url = _through(gateway_proxy, endpoints.database_url)
        admin_url = _through(worker_proxy, endpoints.admin_database_url)
        environment = {**ENVIRONMENT, "DATABASE_URL": gateway_url, "ADMIN_DATABASE_URL": admin_url}
        worker = await asyncio.to_thread(context.bench.start_worker, environment)
        stack.callback(worker.process.stop)
        gateway = await asyncio.to_thread(context.bench.start_gateway, environment)
        stack.callback(gateway.process.stop)
        http = await stack.enter_async_context(context.client(gateway.url))
        await one_by_one(lambda: context.tenant(http), WARM_UP)
        connection = await asyncpg.connect(admin_url)
        stack.push_async_callback(connection.close)
        created = (await context.tenant(http)).json()
        copy = await TenantCopy.of(connection, endpoints.admin_database_url, UUID(created["tenantId"]))
        costs: list[Costs] = []
        copies: list[float] = []
        for _ in range(context.options.rounds):
            costs += await _tenants(context, http, gateway_proxy, worker_proxy)
            copies += await _copies(context, copy, worker_proxy)
        _report(context, costs)
        context.figures.add_rounds("database.copy", f"COPY of a tenant's {copy.rows} rows, waiting", copies, "ms")


async def _tenants(context: Context, http: HttpClient, gateway: CountingProxy, worker: CountingProxy) -> list[Costs]:
    """Return the costs of each of some tenants by process."""
    taken = []
    for _ in range(context.options.few(10, 5)):
        gateway.take()
        worker.take()
        await context.tenant(http)
        costs: Costs = defaultdict(Transaction)
        for transaction in gateway.take():
            _add(costs[GATEWAY], transaction)
        for transaction in worker.take():
            _add(costs[WORKER], transaction)
        taken.append(costs)
    return taken


async def _copies(context: Context, copy: TenantCopy, proxy: CountingProxy) -> list[float]:
    taken = []
    for _ in range(context.options.few(10, 5)):
        await copy.remove()
        proxy.take()
        begun = time.perf_counter()
        await copy.write()
        elapsed = time.perf_counter() - begun
        waited = sum(transaction.seconds for transaction in proxy.take())
        taken.append(min(waited, elapsed) * 1000)
    return taken


def _report(context: Context, costs: list[Costs]) -> None:
    figures = context.figures
    for name in (GATEWAY, WORKER):
        of_name = [taken[name] for taken in costs if name in taken]
        if not of_name:
            continue
        key = f"database.by.{name}"
        times = [1000 * taken.seconds for taken in of_name]
        figures.add(f"{key}.time", f"{name}, waiting", statistics.median(times), "ms")
        trips = statistics.median(taken.round_trips for taken in of_name)
        figures.add(f"{key}.round_trips", f"{name}, round trips", trips, "")
        figures.add(f"{key}.statements", f"{name}, statements", statistics.median(c.statements for c in of_name), "")
    every = [list(taken.values()) for taken in costs]
    times = [1000 * sum(part.seconds for part in parts) for parts in every]
    figures.add_rounds("database.time", "a tenant, waiting for the database", times, "ms")
    trips = statistics.median(sum(part.round_trips for part in parts) for parts in every)
    figures.add("database.round_trips", "a tenant, round trips", trips, "")
    statements = statistics.median(sum(part.statements for part in parts) for parts in every)
    figures.add("database.statements", "a tenant, statements (BEGIN and COMMIT count)", statements, "")


def _add(total: Transaction, more: Transaction) -> None:
    total.round_trips += more.round_trips
    total.statements += more.statements
    total.seconds += more.seconds


def _through(proxy: CountingProxy, url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{proxy.port}").geturl()
