"""A tenant's rows are found by an index wherever Alga has one."""

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from activities.purge.catalogue import read_catalogue
from activities.purge.tenant_rows import TenantRows
from tests.activities.purge.small import OURS

pytestmark = pytest.mark.anyio

# Partial indexes don't serve conditions on the tenant alone.
INDEXED = """
    SELECT DISTINCT c.relname FROM pg_index i
    JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    JOIN pg_am m ON m.oid = (SELECT relam FROM pg_class WHERE oid = i.indexrelid)
    WHERE c.relnamespace = 'public'::regnamespace AND i.indpred IS NULL AND m.amname = 'btree'
      AND a.attname = ANY (CASE WHEN EXISTS (
          SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'tenant' AND NOT o.attisdropped
      ) THEN ARRAY['tenant'] ELSE ARRAY['tenant_id'] END)
"""


async def conditions(connection: AsyncConnection, statement: ClauseElement) -> list[str]:
    """Return the conditions by which an index finds the statement's rows."""
    compiled = statement.compile(dialect=connection.dialect)
    assert isinstance(compiled, SQLCompiler)
    values = tuple(compiled.params[name] for name in compiled.positiontup or ())
    lines = await connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {compiled}", values)
    return [line for line in lines.scalars() if "Index Cond: " in line]


async def test_an_index_on_the_tenant_is_used_if_there_is_one(connection: AsyncConnection) -> None:
    catalogue = await read_catalogue(connection)
    rows = TenantRows(catalogue, OURS)
    indexed = set((await connection.exec_driver_sql(INDEXED)).scalars())
    await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")

    # All queries on the tenant's rows have the same condition.
    used = {
        table.label
        for table in catalogue.tenant_tables
        if table.label in indexed and await conditions(connection, rows.delete(table.label))
    }

    assert used == indexed & {table.label for table in catalogue.tenant_tables}
    assert len(used) > 400
