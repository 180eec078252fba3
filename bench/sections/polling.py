"""Status polls per second and their p99, with and without a worker, through one and two gateways, and the floors."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from bench.context import Context, MeasuringError, in_turns
from bench.http import HttpClient
from bench.reporting.figures import percentile
from bench.reporting.timing import Once, Timings, at_once, at_pace, count_done
from bench.stack import processor_seconds
from tests.support.waiting import wait_until

IN_FLIGHT = 32
PACE = 200.0
HELD, FINISHED = 4, 20
LABELS = {
    "running.1": "polls of running operations, 1 gateway",
    "running.2": "polls of running operations, 2 gateways",
    "finished.1": "polls of finished operations, 1 gateway",
    "finished.2": "polls of finished operations, 2 gateways",
    "describe": "bare describe loop",
    "route": "bare FastAPI route with the same keys",
    "unattended.1": "polls of queued operations without a worker, 1 gateway",
    "unattended.2": "polls of queued operations without a worker, 2 gateways",
}
WITH_WORKER = ("running.1", "running.2", "finished.1", "finished.2", "describe", "route")
WITHOUT_WORKER = ("unattended.1", "unattended.2")


async def measure(context: Context) -> None:
    """Measure all kinds in turns: those with a worker, then those without."""
    await context.worker()
    async with AsyncExitStack() as stack:
        second = await asyncio.to_thread(context.bench.start_gateway)
        stack.callback(second.process.stop)
        http = await stack.enter_async_context(context.client())
        gateways = (http, await stack.enter_async_context(context.client(second.url)))
        finished = [str((await context.tenant(http)).json()["workflowId"]) for _ in range(FINISHED)]
        route = await _plain_route(context, http, finished[0], stack)
        async with _blocked_operations(context, http) as running:
            kinds = {
                "running.1": _polls(gateways[:1], running),
                "running.2": _polls(gateways, running),
                "finished.1": _polls(gateways[:1], finished),
                "finished.2": _polls(gateways, finished),
                "describe": _describes(context, running),
                "route": lambda: _get(route, "/document"),
            }
            await _rounds(context, WITH_WORKER, kinds)
            for name in ("running.1", "finished.1"):
                await _measure_processor(context, name, kinds[name])
        await context.stop_worker()
        queued = [await context.accepted(http) for _ in range(HELD)]
        kinds = {"unattended.1": _polls(gateways[:1], queued), "unattended.2": _polls(gateways, queued)}
        await _rounds(context, WITHOUT_WORKER, kinds)
        await _paced(context, kinds["unattended.1"])


async def _rounds(context: Context, names: Sequence[str], kinds: dict[str, Once]) -> None:
    timings_by_name: dict[str, list[Timings]] = {name: [] for name in names}
    seconds = 1.0 if context.options.quick else 2.0
    for number in range(context.options.few(2, 1)):
        for name in in_turns(names, number):
            timings_by_name[name].append(
                await at_once(kinds[name], in_flight=IN_FLIGHT, seconds=seconds, warm_up=0.5)
            )
    for name in names:
        label, taken = LABELS[name], timings_by_name[name]
        context.figures.add_rounds(f"polls.{name}", label, [timings.rate for timings in taken], "/s")
        everything = [value for timings in taken for value in timings.milliseconds]
        context.figures.add(f"polls.{name}.p99", f"{label}, p99", percentile(everything, 99), "ms")
    load = max(timings.load for taken in timings_by_name.values() for timings in taken)
    key = "polls.generator" if names is WITH_WORKER else "polls.unattended.generator"
    context.figures.add(key, f"load generator with {', '.join(names)}: most", load, "% of a core")


async def _measure_processor(context: Context, name: str, once: Once) -> None:
    """Measure the gateway's processor time, which other load on the machine changes little."""
    gateway = await context.gateway()
    count = context.options.few(2000, 200)
    before = processor_seconds(gateway)
    await count_done(once, in_flight=IN_FLIGHT, count=count)
    spent = (processor_seconds(gateway) - before) / count * 1000
    context.figures.add(f"polls.{name}.processor", f"{LABELS[name]}, processor of the gateway a poll", spent, "ms")


async def _paced(context: Context, once: Once) -> None:
    timings = await at_pace(once, rate=PACE, seconds=2.0 if context.options.quick else 5.0)
    label = f"polls without a worker at {PACE:.0f}/s"
    context.figures.add("polls.paced.p99", f"{label}, p99", percentile(timings.milliseconds, 99), "ms")


def _polls(gateways: Sequence[HttpClient], workflow_ids: Sequence[str]) -> Once:
    pairs = itertools.cycle(
        [(http, f"/tenants/{workflow_id}/status") for workflow_id in workflow_ids for http in gateways]
    )
    return lambda: _get(*next(pairs))


def _describes(context: Context, workflow_ids: Sequence[str]) -> Once:
    handles = itertools.cycle([context.temporal.get_workflow_handle(workflow_id) for workflow_id in workflow_ids])
    return lambda: next(handles).describe()


async def _get(http: HttpClient, path: str) -> None:
    response = await http.get(path)
    if response.status != 200:  # noqa: PLR2004 - OK
        raise MeasuringError(f"{path} got status {response.status}: {response.body.decode()[:500]}")


async def _plain_route(context: Context, http: HttpClient, workflow_id: str, stack: AsyncExitStack) -> HttpClient:
    """Start the bare route, which serves the same document."""
    document = context.options.folder / "document.json"
    document.write_bytes((await http.get(f"/tenants/{workflow_id}/status")).body)
    started = await asyncio.to_thread(context.bench.start_plain_route, document)
    stack.callback(started.process.stop)
    return await stack.enter_async_context(context.client(started.url))


@asynccontextmanager
async def _blocked_operations(context: Context, http: HttpClient) -> AsyncIterator[list[str]]:
    """Start operations that wait in the step that writes the administrator, because their e-mails are locked."""
    connection = await asyncpg.connect(context.bench.endpoints.admin_database_url)
    try:
        requests = [context.request() for _ in range(HELD)]
        for request in requests:
            await connection.execute("SELECT pg_advisory_lock(hashtext($1))", request["adminUser"]["email"])
        ids = []
        for request in requests:
            response = await http.post("/tenants", request)
            ids.append(str(response.json()["workflowId"]))

        async def are_blocked() -> bool:
            waiting = await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            return bool(waiting >= HELD)

        await wait_until(are_blocked, timeout=30.0)
        yield ids
    finally:
        await connection.close()
