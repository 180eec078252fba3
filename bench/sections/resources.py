"""Resources: start-up times, memory during creations, processor time, disk, history."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import asyncpg
import psutil

from bench.context import Context
from bench.reporting.timing import count_done
from bench.stack import Started, processor_seconds

MEBIBYTE = 1024 * 1024
KIBIBYTE = 1024
IN_FLIGHT = 50
# New processes, which have served nothing else.
ENVIRONMENT = {"TEMPORAL_TASK_QUEUE": "bench-resources"}
SERVERS = ("postgres", "temporal")


async def measure(context: Context) -> None:
    """Start a gateway and a worker, create tenants in two halves, and measure both processes after each."""
    half = context.options.few(500, 50)
    async with AsyncExitStack() as stack:
        processes: dict[str, Started] = {}
        for name, start in (("worker", context.bench.start_worker), ("gateway", context.bench.start_gateway)):
            processes[name] = started = await asyncio.to_thread(start, ENVIRONMENT)
            stack.callback(started.process.stop)
            context.figures.add(f"start.{name}", f"{name}, start until ready", started.seconds, "s")
            context.figures.add(f"memory.{name}.rest", f"{name} at rest", _resident(started), "MiB")
        http = await stack.enter_async_context(context.client(processes["gateway"].url))
        for reached in (half, 2 * half):
            size, spent = await _database_size(context), _processor_seconds(processes)
            await count_done(lambda: context.tenant(http), in_flight=IN_FLIGHT, count=half)
            for name, started in processes.items():
                label = f"{name} after {reached} tenants"
                context.figures.add(f"memory.{name}.{reached}", label, _resident(started), "MiB")
        for name, seconds in _processor_seconds(processes).items():
            label = f"{name}, processor a tenant"
            context.figures.add(f"processor.{name}", label, (seconds - spent[name]) / half * 1000, "ms")
        grown = (await _database_size(context) - size) / half
        context.figures.add("disk.database", "database a tenant, indexes included", grown / KIBIBYTE, "KiB")
        await _measure_history(context, str((await context.tenant(http)).json()["workflowId"]))
    for name in processes:
        growth = context.figures.ratio(f"memory.{name}.{2 * half}", f"memory.{name}.{half}")
        if growth is not None:
            label = f"{name}, growth from tenant {half} to {2 * half}"
            context.figures.add(f"memory.{name}.growth", label, (growth - 1) * 100, "%")


async def _measure_history(context: Context, workflow_id: str) -> None:
    described = await context.temporal.get_workflow_handle(workflow_id).describe()
    size = described.raw_description.workflow_execution_info.history_size_bytes
    context.figures.add("history.events", "history of a tenant, events", described.history_length, "")
    context.figures.add("history.bytes", "history of a tenant, bytes", size, "")


async def _database_size(context: Context) -> int:
    connection = await asyncpg.connect(context.bench.endpoints.admin_database_url)
    try:
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return size


def _processor_seconds(processes: Mapping[str, Started]) -> dict[str, float]:
    """Return the processor time of each process so far; for the servers, that of all running processes."""
    spent = {name: processor_seconds(started) for name, started in processes.items()}
    spent |= dict.fromkeys(SERVERS, 0.0)
    for process in psutil.Process().children(recursive=True):
        name = process.name()
        if name in SERVERS:
            times = process.cpu_times()
            spent[name] += times.user + times.system
    return spent


def _resident(started: Started) -> float:
    resident: int = psutil.Process(started.process.pid).memory_info().rss
    return resident / MEBIBYTE
