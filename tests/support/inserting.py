"""Inserts rows of a tenant as the steps do, for tests that are about the rows."""

from uuid import UUID

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.bulk_insert import TableRows, documents, insert_script
from activities.transactions import set_setting


async def insert(connection: AsyncConnection, tenant_id: UUID, rows: TableRows) -> int:
    """How many rows were inserted."""
    for name, document in documents([rows]).items():
        await connection.execute(select(set_setting(name, literal(document))))
    (statement,) = insert_script(tenant_id, [rows])
    return (await connection.exec_driver_sql(statement)).rowcount
