"""Fills a database with copies of a tenant that the service created."""

from collections.abc import Sequence
from typing import Self

import asyncpg

BATCH = 250
TEXTS = ("text", "character varying")

COLUMNS = """
    SELECT c.oid::regclass::text AS table, quote_ident(a.attname) AS name, format_type(a.atttypid, NULL) AS type
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attgenerated = '' AND pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NULL
      AND EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant'
                  AND t.atttypid = 'uuid'::regtype AND NOT t.attisdropped)
    ORDER BY c.oid, a.attnum
"""
OPERATIONS = """
    INSERT INTO alga_tenants.operations
        (workflow_id, run_id, namespace, kind, tenant_id, tenant_name, product_code, status, step, progress, steps,
         result, requested_by, started_at, committed_at, updated_at, finished_at)
    SELECT 'tenant-creation-' || md5(tenant_id::text || n)::uuid, md5(run_id || n)::uuid::text, namespace, kind,
           md5(tenant_id::text || n)::uuid, tenant_name || ' ' || n, product_code, status, step, progress, steps,
           result, requested_by, started_at - n * interval '1 min', committed_at - n * interval '1 min',
           updated_at - n * interval '1 min', finished_at - n * interval '1 min'
    FROM alga_tenants.operations, generate_series($2::int, $3::int) AS n
    WHERE tenant_id = $1::uuid
"""


class Filling:
    """Copies one tenant's rows; each copy has its own ids and e-mails, which follow from its number."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: str, statements: Sequence[str]) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._statements = statements
        self._filled = 0

    @classmethod
    async def like(cls, connection: asyncpg.Connection, tenant_id: str) -> Self:
        """Prepare to copy the tenant with a superuser's connection."""
        columns: dict[str, dict[str, str]] = {}
        for row in await connection.fetch(COLUMNS):
            columns.setdefault(row["table"], {})[row["name"]] = row["type"]
        statements = []
        for table, types in columns.items():
            if await connection.fetchval(f"SELECT 1 FROM {table} WHERE tenant = $1 LIMIT 1", tenant_id):  # noqa: S608 - a name from the catalogue
                statements.append(_copy_of(table, types))
        return cls(connection, tenant_id, [*statements, OPERATIONS])

    async def fill(self, tenants: int) -> None:
        """Add copies up to this number, and update statistics."""
        while self._filled < tenants:
            first, last = self._filled + 1, min(self._filled + BATCH, tenants)
            async with self._connection.transaction():
                # Parents and children come in any order, and references to other tenants' rows are broken.
                await self._connection.execute("SET LOCAL session_replication_role = replica")
                for statement in self._statements:
                    await self._connection.execute(statement, self._tenant_id, first, last)
            self._filled = last
        await self._connection.execute("VACUUM ANALYZE")

    async def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        count: int = await self._connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own words
        return count


def _copy_of(table: str, types: dict[str, str]) -> str:
    """Return the statement that copies the rows of tenant $1 for the numbers from $2 to $3."""
    values = ", ".join(_value(name, kind) for name, kind in types.items())
    return (
        f"INSERT INTO {table} ({', '.join(types)}) SELECT {values} FROM {table},"  # noqa: S608 - the same
        " generate_series($2::int, $3::int) AS n WHERE tenant = $1::uuid ON CONFLICT DO NOTHING"
    )


def _value(name: str, kind: str) -> str:
    if kind == "uuid":
        return f"md5({name}::text || n)::uuid"
    if kind in TEXTS:
        return f"replace({name}, 'bench-', 'bench-' || n || '-')"
    return name
