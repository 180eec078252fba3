"""A page of the directory beside 10,000 tenants, and a plain SELECT of the same rows."""

from contextlib import AsyncExitStack

import asyncpg

from bench.context import Context, MeasuringError, in_turns
from bench.http import HttpClient
from bench.reporting.timing import one_by_one

TENANTS, QUICK_TENANTS = 10_000, 200
USERS = 3
PAGE_SIZE = 50
WARM_UP = 20
LABELS = {"page": f"a page of {PAGE_SIZE} tenants", "select": "a plain SELECT of the same rows"}

# Only what a page shows. Ids follow from the numbers.
FILL = """
SET LOCAL session_replication_role = replica;
INSERT INTO tenants (tenant, client_name, email, created_at)
    SELECT md5('tenant' || n)::uuid, 'Listed ' || n, 'listed-' || n || '@example.com', now() - n * interval '1 min'
    FROM generate_series({first}, {tenants}) AS n;
INSERT INTO clients (tenant, client_id, client_name)
    SELECT md5('tenant' || n)::uuid, md5('client' || n)::uuid, 'Company ' || n
    FROM generate_series({first}, {tenants}) AS n;
INSERT INTO tenant_companies (tenant, client_id, is_default)
    SELECT md5('tenant' || n)::uuid, md5('client' || n)::uuid, true FROM generate_series({first}, {tenants}) AS n;
INSERT INTO users (tenant, email, username, hashed_password)
    SELECT md5('tenant' || n)::uuid, 'user-' || n || '-' || u || '@example.com', 'user-' || n || '-' || u, 'x'
    FROM generate_series({first}, {tenants}) AS n, generate_series(1, {users}) AS u;
"""
SELECT = """
SELECT t.tenant, t.client_name, c.client_name, t.email, t.product_code, t.plan, t.licensed_user_count, t.suspended_at,
    t.created_at, (SELECT count(*) FROM users u WHERE u.tenant = t.tenant AND u.user_type = 'internal'
                   AND u.is_inactive IS NOT TRUE)
FROM (SELECT * FROM tenants ORDER BY created_at DESC, tenant DESC LIMIT $1) AS t
LEFT JOIN tenant_companies o ON o.tenant = t.tenant AND o.is_default
LEFT JOIN clients c ON c.tenant = t.tenant AND c.client_id = o.client_id
ORDER BY t.created_at DESC, t.tenant DESC
"""


async def measure(context: Context) -> None:
    """Fill the tables, and read pages and rows in turns, one after the other."""
    endpoints, options = context.bench.endpoints, context.options
    async with AsyncExitStack() as stack:
        administrator = await asyncpg.connect(endpoints.admin_database_url)
        stack.push_async_callback(administrator.close)
        tenants = options.few(TENANTS, QUICK_TENANTS)
        async with administrator.transaction():
            await administrator.execute(FILL.format(first=1, tenants=tenants, users=USERS))
        await administrator.execute("VACUUM ANALYZE tenants, clients, tenant_companies, users")
        connection = await asyncpg.connect(endpoints.database_url)
        stack.push_async_callback(connection.close)
        statement = await connection.prepare(SELECT)
        http = await stack.enter_async_context(context.client())
        works = {"page": lambda: _read_page(http), "select": lambda: statement.fetch(PAGE_SIZE)}
        taken: dict[str, list[list[float]]] = {kind: [] for kind in LABELS}
        for number in range(options.rounds):
            for kind in in_turns(list(LABELS), number):
                await one_by_one(works[kind], WARM_UP)
                taken[kind].append(await one_by_one(works[kind], options.few(200, 20)))
    for kind, label in LABELS.items():
        medians = [sorted(times)[len(times) // 2] for times in taken[kind]]
        context.figures.add_rounds(f"directory.{kind}", f"{label}, beside {tenants:,}", medians, "ms")


async def _read_page(http: HttpClient) -> None:
    response = await http.get(f"/tenants?pageSize={PAGE_SIZE}")
    if response.status != 200 or len(response.json()["tenants"]) != PAGE_SIZE:  # noqa: PLR2004 - OK
        raise MeasuringError(f"a page got status {response.status}: {response.body.decode()[:500]}")
