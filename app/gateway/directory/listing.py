"""Pages of tenants, newest first."""

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import TenantFilter, list_tenants
from activities.alga.directory.tenants import read_tenants
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.directory.pages import place_of, token_of
from app.gateway.directory.schemas import TenantDocument, TenantList


@dataclass(frozen=True, repr=False)
class TenantListing:
    """Reads pages of tenants from the database, no matter who created them."""

    engine: AsyncEngine

    async def page(self, caller: Caller, wanted: TenantFilter, *, size: int, token: str | None) -> TenantList:
        """Return the page of the token, or the first one; a caller that is bound to a tenant sees only that one.

        Raises `DatabaseUnavailableError`.
        """
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                places = await list_tenants(connection, wanted, limit=size + 1, after=after)
                records = await read_tenants(connection, [place.id for place in places[:size]])
        return TenantList(
            tenants=tuple(TenantDocument.of(record) for record in records),
            next_page_token=token_of(places[size - 1]) if len(places) > size else None,
        )
