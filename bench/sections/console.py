"""Pages of the console beside the routes that show the same, with 100 and with 10,000 tenants and operations."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import httpx

from bench.context import Context, MeasuringError, in_turns
from bench.http import HttpClient
from bench.reporting.timing import one_by_one
from bench.sections.directory import FILL, USERS

SIZES, QUICK_SIZES = (100, 10_000), (20, 200)
WARM_UP = 5
# Pages and the routes beside them; the overview shows what no single route does.
PAGES: Mapping[str, tuple[str, str]] = {
    "overview": ("/console/overview", "/operations?pageSize=50"),
    "tenants": ("/console/tenants", "/tenants?pageSize=50"),
    "tenant": ("/console/tenants/{tenant}", "/tenants/{tenant}"),
    "operations": ("/console/operations", "/operations?pageSize=50"),
    "operation": ("/console/operations/{operation}", "/operations/{operation}"),
    "deletions": ("/console/deletions", "/operations?pageSize=50&kind=tenant_deletion"),
    "exports": ("/console/exports", "/operations?pageSize=50&kind=tenant_export"),
    "webhooks": ("/console/webhooks", "/webhooks"),
    "keys": ("/console/api-keys", "/api-keys"),
    "audit": ("/console/audit", "/audit-events?pageSize=50"),
}
KINDS = {"page": "page", "route": "route"}

# Copies of one operation that was completed, each a minute older, of the tenants that `FILL` makes.
OPERATIONS = """
INSERT INTO alga_tenants.operations
    SELECT copy.* FROM alga_tenants.operations AS o, generate_series({first}, {last}) AS n,
        jsonb_populate_record(o, jsonb_build_object(
            'workflow_id', 'tenant-creation-' || md5('operation' || n)::uuid,
            'tenant_id', md5('tenant' || n)::uuid,
            'started_at', o.started_at - n * interval '1 min'
        )) AS copy
    WHERE o.workflow_id = $1
"""


async def measure(context: Context) -> None:
    """Fill the tables to each size, and read pages and routes in turns, one after the other."""
    options = context.options
    await context.worker()
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(context.client())
        url = (await context.gateway()).url
        pages = await stack.enter_async_context(HttpClient(url, await _session(url, context.bench.api_key)))
        template = (await context.tenant(http)).json()
        places = {"tenant": template["tenantId"], "operation": template["workflowId"]}
        connection = await asyncpg.connect(context.bench.endpoints.admin_database_url)
        stack.push_async_callback(connection.close)
        first = 1
        for size in QUICK_SIZES if options.quick else SIZES:
            async with connection.transaction():
                await connection.execute(FILL.format(first=first, tenants=size, users=USERS))
                await connection.execute(OPERATIONS.format(first=first, last=size), places["operation"])
            await connection.execute("VACUUM ANALYZE")
            first = size + 1
            await _measure_at(context, size, {"page": pages, "route": http}, places)


async def _measure_at(
    context: Context, size: int, clients: Mapping[str, HttpClient], places: Mapping[str, str]
) -> None:
    for name, addresses in PAGES.items():
        works = {
            kind: partial(_read, clients[kind], address.format(**places))
            for kind, address in zip(KINDS, addresses, strict=True)
        }
        medians: dict[str, list[float]] = {kind: [] for kind in works}
        for number in range(context.options.rounds):
            for kind in in_turns(list(works), number):
                await one_by_one(works[kind], WARM_UP)
                taken = sorted(await one_by_one(works[kind], context.options.few(40, 5)))
                medians[kind].append(taken[len(taken) // 2])
        for kind, rounds in medians.items():
            context.figures.add_rounds(
                f"console.{size}.{name}.{kind}", f"{kind} beside {size:,}: {name}", rounds, "ms"
            )


async def _session(url: str, key: str) -> dict[str, str]:
    """Return the header of a browser that has signed in."""
    async with httpx.AsyncClient(base_url=url) as http:
        response = await http.post("/console/sign-in", data={"key": key}, headers={"Sec-Fetch-Site": "same-origin"})
    if response.status_code != 303:  # noqa: PLR2004 - see other
        raise MeasuringError(f"the sign-in got status {response.status_code}")
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in response.cookies.items())}


async def _read(http: HttpClient, path: str) -> None:
    response = await http.get(path)
    if response.status != 200:  # noqa: PLR2004 - OK
        raise MeasuringError(f"{path} got status {response.status}: {response.body.decode()[:500]}")
