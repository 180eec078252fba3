"""Inserts rows of a tenant as a provisioning does, for tests that are about the rows."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.bulk_insert import TableRows, insert_statement


async def insert(connection: AsyncConnection, tenant_id: UUID, rows: TableRows) -> int:
    """Return how many rows were inserted."""
    statement = insert_statement(tenant_id, rows)
    return (await connection.execute(statement.clause, dict(statement.values))).rowcount
