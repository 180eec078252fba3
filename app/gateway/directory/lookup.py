"""Finds one tenant."""

from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import parse_tenant_id
from activities.alga.directory.tenants import TenantRecord, read_tenants
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.schemas import TenantDocument

MAX_PATH_ID_LENGTH = 255


@dataclass(frozen=True, repr=False)
class TenantLookup:
    """Finds tenants in the database, no matter who created them."""

    engine: AsyncEngine

    async def find(self, caller: Caller, path_id: str) -> TenantDocument:
        """Return the tenant with this id; raise `TenantNotFoundError` or `DatabaseUnavailableError`."""
        return TenantDocument.of(await self.find_live(caller, path_id))

    async def find_live(self, caller: Caller, path_id: str) -> TenantRecord:
        """Return a tenant that was not deleted; raise `TenantNotFoundError` or `DatabaseUnavailableError`."""
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                records = await read_tenants(connection, [tenant_id])
        if not records:
            raise TenantNotFoundError
        return records[0]


def visible_tenant_id(caller: Caller, path_id: str) -> UUID:
    """Return the id in a path; raise `TenantNotFoundError` if it is no tenant id, or the caller may not see it."""
    tenant_id = parse_tenant_id(path_id)
    if tenant_id is None:
        hint = f"; for an operation use GET /operations/{quote(path_id, safe='')}"
        raise TenantNotFoundError(f"A tenant id is a UUID{hint if len(path_id) <= MAX_PATH_ID_LENGTH else ''}")
    if not caller.may_see(tenant_id):
        raise TenantNotFoundError(is_denial=True)
    return tenant_id
