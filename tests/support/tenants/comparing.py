"""Compares all rows of two tenants, with ids, times and hashes replaced by what they stand for."""

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from tests.support.tenants.rows import row_counts, tenant_tables

UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*\+00:00")
# A value of the operation, a sequence and a password.
VOLATILE = {"stripe_event_id", "hashed_password"}
EMAILS = re.compile(r"ada-[0-9a-f-]{36}@acme\.example")


async def comparable_rows(connection: asyncpg.Connection, tenant_id: UUID | str) -> dict[str, list[str]]:
    """Return all rows of a tenant by table; each id is replaced by the row that it belongs to."""
    columns = await tenant_tables(connection)
    rows: dict[str, list[dict[str, Any]]] = {}
    await connection.execute("SET timezone = 'UTC'")
    for table in await row_counts(connection, tenant_id):
        found = await connection.fetch(
            f'SELECT to_jsonb(t)::text FROM "{table}" t WHERE "{columns[table]}"::text = $1',  # noqa: S608
            str(tenant_id),
        )
        rows[table] = [json.loads(row[0], parse_float=str) for row in found]
    return _without_ids(rows)


def _without_ids(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    """Replace ids by what their rows hold, again and again, so that references are compared as well."""
    names: dict[str, str] = {}
    while True:
        texts = {table: [(row, _text(table, row, names)) for row in found] for table, found in rows.items()}
        known = dict(names)
        for table, found in texts.items():
            for row, text in found:
                own = [value for name, value in row.items() if isinstance(value, str) and UUIDS.fullmatch(value)]
                fresh = [value for value in own if value not in known]
                if len(fresh) == 1:
                    names[fresh[0]] = f"{table}({text})"[:400]
        if len(names) == len(known):
            return {table: sorted(text for _, text in found) for table, found in texts.items()}


def _text(table: str, row: Mapping[str, Any], names: Mapping[str, str]) -> str:
    kept = {
        name: value
        for name, value in row.items()
        if name not in VOLATILE and not (table == "tenant_email_settings" and name == "id")
    }
    text = json.dumps(kept, sort_keys=True)
    text = EMAILS.sub("<email>", text)
    text = UUIDS.sub(lambda found: names.get(found[0], "<id>"), text)
    return TIMES.sub("<time>", text)
