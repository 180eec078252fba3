"""Inserts rows of a tenant as a provisioning does, for tests that are about the rows."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.bulk_insert import TableRows, document_settings, insert_script


async def insert(connection: AsyncConnection, tenant_id: UUID, rows: TableRows) -> int:
    """How many rows were inserted."""
    expressions, values = document_settings([rows])
    await connection.execute(select(*expressions), values)
    (statement,) = insert_script(tenant_id, [rows], from_settings=True)
    return (await connection.exec_driver_sql(statement)).rowcount
