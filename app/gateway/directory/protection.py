"""Protects Alga's own tenant, and explains which rights the gateway's role lacks."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.errors import INSUFFICIENT_PRIVILEGE, sqlstate
from activities.database.rights import unreadable_tables
from app.gateway.directory.problems import UnreadableTablesError
from app.gateway.operations.problems import ManagementTenantError, ManagementTenantUnknownError
from app.settings import Settings


def refuse_management_tenant(settings: Settings, tenant_id: UUID) -> None:
    """Raise `ProblemError` if the tenant is Alga's own, or if that is not known."""
    if settings.master_billing_tenant_id is None:
        raise ManagementTenantUnknownError
    if settings.master_billing_tenant_id == tenant_id:
        raise ManagementTenantError


@asynccontextmanager
async def readable(connection: AsyncConnection, columns: Iterable[str]) -> AsyncIterator[None]:
    """Raise `UnreadableTablesError` if the block lacks the right to read one of the columns, as `table.column`."""
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        await connection.rollback()
        tables = await unreadable_tables(connection, columns)
        if not tables:
            raise
        names = select(func.quote_ident(func.current_user()), func.quote_ident(func.current_schema()))
        role, schema = (await connection.execute(names)).one()
        raise UnreadableTablesError(role, schema, tables) from None
