"""Start-up times, memory while tenants are made, and what a tenant leaves in Temporal's history."""

import psutil

from bench.context import Context
from bench.stack import Started
from bench.timing import count_done

MEBIBYTE = 1024 * 1024
IN_FLIGHT = 50


async def measure(context: Context) -> None:
    """Start both processes, then make twice as many tenants and look at them after either half."""
    processes = {"gateway": await context.gateway(), "worker": await context.worker()}
    for name, started in processes.items():
        context.figures.add(f"start.{name}", f"{name}, start until ready", started.seconds, "s")
        context.figures.add(f"memory.{name}.rest", f"{name} at rest", _resident(started), "MiB")
    half = context.options.few(500, 50)
    async with context.client() as http:
        for reached in (half, 2 * half):
            await count_done(lambda: context.tenant(http), in_flight=IN_FLIGHT, count=half)
            for name, started in processes.items():
                context.figures.add(
                    f"memory.{name}.{reached}", f"{name} after {reached} tenants", _resident(started), "MiB"
                )
        created = (await context.tenant(http)).json()
    for name in processes:
        growth = context.figures.ratio(f"memory.{name}.{2 * half}", f"memory.{name}.{half}")
        if growth is not None:
            label = f"{name}, growth from tenant {half} to {2 * half}"
            context.figures.add(f"memory.{name}.growth", label, (growth - 1) * 100, "%")
    await _measure_history(context, str(created["workflowId"]))


async def _measure_history(context: Context, workflow_id: str) -> None:
    described = await context.temporal.get_workflow_handle(workflow_id).describe()
    size = described.raw_description.workflow_execution_info.history_size_bytes
    context.figures.add("history.events", "history of a tenant", described.history_length, "events")
    context.figures.add("history.bytes", "history of a tenant", size, "bytes")


def _resident(started: Started) -> float:
    resident: int = psutil.Process(started.process.pid).memory_info().rss
    return resident / MEBIBYTE
