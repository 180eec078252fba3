"""Makes a tenant large: a million rows in tables that grow with use."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import asyncpg

# The ids of tenants differ in their first half.
_OF_TENANT = "left(replace($1::text, '-', ''), 16)"
ID = f"({_OF_TENANT} || lpad(to_hex(n), 16, '0'))::uuid"
# Of three threads.
TICKET = f"({_OF_TENANT} || lpad(to_hex((n + 2) / 3), 16, '0'))::uuid"
USER = "(SELECT user_id FROM users WHERE tenant = $1 LIMIT 1)"
CLIENT = "(SELECT client_id FROM clients WHERE tenant = $1 LIMIT 1)"


class Growth(NamedTuple):
    """A table's part of the rows, and SQL for the values of row number n."""

    part: float
    values: Mapping[str, str]


# Only keys with an index: a purge takes as long as Alga's missing ones let it, see docs/performance.md.
GROWTH: Mapping[str, Growth] = {
    "audit_logs": Growth(
        0.78,
        {
            "audit_id": ID,
            "table_name": "'tickets'",
            "operation": "'UPDATE'",
            "record_id": "n::text",
            "changed_data": "'{}'",
            "details": "'{}'",
        },
    ),
    "time_entries": Growth(
        0.1,
        {"entry_id": ID, "user_id": USER, "work_date": "DATE '2026-01-01' + n % 300", "work_timezone": "'UTC'"},
    ),
    "tickets": Growth(
        0.01, {"ticket_id": ID, "ticket_number": "'B' || n", "title": "'Ticket ' || n", "client_id": CLIENT}
    ),
    "comment_threads": Growth(0.03, {"thread_id": ID, "ticket_id": TICKET, "root_comment_id": ID}),
    "documents": Growth(
        0.02, {"document_id": ID, "document_name": "'Document ' || n", "created_by": USER, "user_id": USER}
    ),
    "document_associations": Growth(
        0.02, {"association_id": ID, "document_id": ID, "entity_id": ID, "entity_type": "'ticket'"}
    ),
    "internal_notifications": Growth(
        0.04,
        {
            "user_id": USER,
            "language_code": "'en'",
            "template_name": "'ticket-closed'",
            "title": "'Ticket closed'",
            "message": "'Ticket ' || n || ' is closed'",
        },
    ),
}


async def grow(connection: asyncpg.Connection, tenant_id: UUID, rows: int) -> None:
    """Add that many rows with a superuser's connection, and update statistics; missing tables are left out."""
    present = [table for table in GROWTH if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)]
    async with connection.transaction():
        # Checking references would take longer than the purge.
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in present:
            growth = GROWTH[table]
            await connection.execute(_insert(table, growth.values), tenant_id, round(growth.part * rows))
    await connection.execute(f"VACUUM ANALYZE {', '.join(present)}")


def _insert(table: str, values: Mapping[str, str]) -> str:
    return (
        f"INSERT INTO {table} (tenant, {', '.join(values)})"  # noqa: S608 - named above
        f" SELECT $1::uuid, {', '.join(values.values())} FROM generate_series(1, $2::int) AS n"
    )
