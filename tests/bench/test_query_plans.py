"""Every statement of a request or a step finds its rows by an index, even in large tables."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.app.gateway.server import RunningGateway
from tests.bench.conftest import Statements
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

# Statements that have no plan.
COMMANDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET ", "LOCK ", "ALTER TABLE")
SETTING = r"current_setting\('([\w.]+)'\)"
SYSTEM = "pg_"
# Tables that are scanned, or filtered after an index has found too many rows, and why that stays cheap.
READ_WHOLE = {
    "audit_head": "has one row",
    "countries": "global; one row a country",
    "notification_categories": "global defaults, which a new tenant copies: all of them are wanted",
    "notification_subtypes": "the same",
    "internal_notification_categories": "the same",
    "internal_notification_subtypes": "the same",
    "api_keys": "has as many rows as the service has callers; only its listing reads them all",
    "tenants": "one row a tenant; the directory orders and searches them, for which Alga has no index",
    "users": "an e-mail is asked for across tenants, and Alga's index begins with the tenant",
}
# Hold unfinished operations and open deletions only, which are few.
SMALL_INDEXES = {"operations_unfinished_idx", "deletions_open_idx"}


@dataclass(frozen=True)
class Scan:
    """A node in a plan that finds rows of a table."""

    table: str
    node: str
    index: str | None
    condition: str
    is_page: bool

    def __str__(self) -> str:
        return f"{self.node} on {self.table} by {self.index or 'nothing'} {self.condition}"


@pytest.fixture(scope="module")
async def sent(
    gateway: RunningGateway,
    worker: None,  # noqa: ARG001 - runs the operations
    statements: Statements,
    settings: Settings,
) -> list[str]:
    """The statements of creating, refusing, listing, changing and cancelling operations."""
    connection = await asyncpg.connect(settings.admin_database_url.get_secret_value())
    async with gateway.client() as http:
        await _create_and_list(http)
        await _read_directory(http)
        await _change_and_cancel(http, connection)
    await connection.close()
    return list(statements.texts)


async def test_every_statement_finds_its_rows_by_the_front_of_an_index(
    sent: list[str], database: asyncpg.Connection
) -> None:
    leading = await _prepare(database)
    bad = {
        str(scan): statement
        for statement in sent
        for scan in await _scans(database, statement)
        if not _is_cheap(scan, leading)
    }
    assert len(sent) > 40
    assert not bad, json.dumps(bad, indent=1)


async def test_a_table_without_an_index_is_noticed(database: asyncpg.Connection) -> None:
    leading = await _prepare(database)

    async def verdicts(statement: str) -> list[bool]:
        return [_is_cheap(scan, leading) for scan in await _scans(database, statement)]

    operations = "SELECT 1 FROM alga_tenants.operations WHERE"
    assert await verdicts(f"{operations} workflow_id = $1") == [True]
    assert await verdicts(f"{operations} requested_by = $1") == [False]
    # By an index, but not by its front: all of it is read.
    assert await verdicts(f"{operations} run_id = $1") == [False]


async def _create_and_list(http: httpx.AsyncClient) -> None:
    first = {"Prefer": "wait=30", "Idempotency-Key": "plans"}
    created = await http.post("/tenants", json=_request("plans-1"), headers=first)
    assert created.status_code == 201, created.text
    assert (await http.post("/tenants", json=_request("plans-1"), headers=first)).status_code == 201
    refused = await http.post("/tenants", json=_request("plans-1"), headers={"Prefer": "wait=30"})
    assert refused.json()["status"] == "failed", refused.text
    page = await http.get("/operations", params={"pageSize": 1})
    searches: list[dict[str, str | int | list[str]]] = [
        {"pageSize": 1, "pageToken": page.json()["nextPageToken"]},
        {"status": ["completed", "failed"]},
        {"startedAfter": "2020-01-01T00:00:00Z", "startedBefore": "2120-01-01T00:00:00Z"},
        {"name": "plans"},
    ]
    for search in searches:
        assert (await http.get("/operations", params=search)).status_code == 200
    tenant_id = created.json()["tenantId"]
    for path in (f"/tenants/{tenant_id}", "/tenants?search=plans", f"/operations?tenantId={tenant_id}"):
        assert (await http.get(path)).status_code == 200, path
    for path in ("/audit-events", "/api-keys"):
        assert (await http.get(path)).status_code == 200


async def _read_directory(http: httpx.AsyncClient) -> None:
    page = await http.get("/tenants", params={"search": "plans"})
    (tenant,) = page.json()["tenants"]
    searches: list[dict[str, str]] = [
        {},
        {"search": tenant["tenantId"]},
        {"productCode": "psa", "state": "active"},
        {"state": "suspended"},
        {"pageToken": f"{'2' * 18}-{'0' * 32}"},
    ]
    for search in searches:
        assert (await http.get("/tenants", params=search)).status_code == 200
    details = (await http.get(tenant["links"]["self"])).json()
    assert {name: details[name] for name in tenant} == tenant


async def _change_and_cancel(http: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    """Cancel an operation that waits for a lock."""
    request = _request("plans-2")
    await connection.execute("SELECT pg_advisory_lock(hashtext($1))", request["adminUser"]["email"])
    workflow_id = (await http.post("/tenants", json=request)).json()["workflowId"]

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return bool(await connection.fetchval(waiting))

    await wait_until(waits, timeout=30.0)
    assert (await http.delete(f"/tenants/{workflow_id}", params={"reason": "plans"})).status_code == 202
    await connection.execute("SELECT pg_advisory_unlock_all()")

    async def is_cancelled() -> bool:
        return bool((await http.get(f"/tenants/{workflow_id}/status")).json()["status"] == "cancelled")

    await wait_until(is_cancelled, timeout=30.0)


def _request(name: str) -> dict[str, Any]:
    return {
        "tenantName": name,
        "licenseCount": 3,
        "billingAddress": {"countryCode": "US"},
        "adminUser": {"firstName": "Ada", "lastName": "Byron", "email": f"{name}@example.com"},
    }


async def _scans(database: asyncpg.Connection, statement: str) -> list[Scan]:
    """Return the scans in a statement's generic plan; none if it has no plan."""
    if statement.lstrip().startswith(COMMANDS):
        return []
    # The planner reads them, although it only estimates.
    for setting in re.findall(SETTING, statement):
        await database.execute("SELECT set_config($1, '[]', false)", setting)
    await database.execute(f"PREPARE looked_at AS {statement}")
    [parameters] = await database.fetchrow(
        "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'looked_at'"
    )
    values = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
    plan = json.loads(await database.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE looked_at{values}"))[0]["Plan"]
    await database.execute("DEALLOCATE looked_at")
    return list(_scans_below(plan))


def _scans_below(node: dict[str, Any], *, is_page: bool = False, table: str | None = None) -> Iterator[Scan]:
    """Yield the scans of a plan's node and below; `is_page` if only the first rows are read."""
    kind = node["Node Type"]
    table = node.get("Relation Name", table)
    if kind in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"} and table is not None:
        yield Scan(table, kind, node.get("Index Name"), node.get("Index Cond", ""), is_page)
    for child in node.get("Plans", ()):
        below = kind == "Limit" or (is_page and kind in {"Result", "LockRows"})
        yield from _scans_below(child, is_page=below, table=table if kind == "Bitmap Heap Scan" else None)


def _is_cheap(scan: Scan, leading: dict[str, str]) -> bool:
    if scan.table in READ_WHOLE or scan.table.startswith(SYSTEM) or scan.index in SMALL_INDEXES:
        return True
    if scan.index is None:
        return False
    # Or in the order of the index until a page is full. So does a search for a part of a name, because a trigram
    # index would need an extension, which is not ours to install.
    return leading[scan.index] in scan.condition or (scan.is_page and not scan.condition)


async def _prepare(database: asyncpg.Connection) -> dict[str, str]:
    """Make plans avoid sequential scans if possible, and return each index's first column."""
    await database.execute("SET plan_cache_mode = force_generic_plan")
    # The whole of a small table would be read by any index, and once for all rows of a join.
    for choice in ("seqscan", "hashjoin", "mergejoin", "material"):
        await database.execute(f"SET enable_{choice} = off")
    await database.execute("UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE relkind = 'r'")
    rows = await database.fetch(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index"
    )
    return {name.rpartition(".")[2].strip('"'): column.strip('"') for name, column in rows}
