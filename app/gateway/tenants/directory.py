"""Directory of tenants: a page of them, or one."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import TenantFilter, TenantPlace, list_tenants, parse_tenant_id
from activities.alga.directory import read_tenants
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.tenants.schemas import TenantDocument, TenantList

# Microseconds since year 1, and the id of the last tenant on a page. Every token of this form is valid.
TENANT_PAGE_TOKEN = r"^[0-2][0-9]{17}-[0-9a-f]{32}$"  # noqa: S105 - a pattern
MAX_PATH_ID_LENGTH = 255

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, repr=False)
class Directory:
    """Reads tenants from the database, no matter who created them."""

    engine: AsyncEngine

    async def page(self, caller: Caller, wanted: TenantFilter, *, size: int, token: str | None) -> TenantList:
        """Return the page of the token, or the first one; a caller that is bound to a tenant sees only that one.

        Raises `DatabaseUnavailableError`.
        """
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = _place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                places = await list_tenants(connection, wanted, limit=size + 1, after=after)
                records = await read_tenants(connection, [place.tenant_id for place in places[:size]])
        return TenantList(
            tenants=tuple(TenantDocument.of(record) for record in records),
            next_page_token=_token_of(places[size - 1]) if len(places) > size else None,
        )

    async def find(self, caller: Caller, path_id: str) -> TenantDocument:
        """Return the tenant with this id; raise `TenantNotFoundError` or `DatabaseUnavailableError`."""
        tenant_id = parse_tenant_id(path_id)
        if tenant_id is None:
            hint = f"; for an operation use GET /operations/{quote(path_id, safe='')}"
            raise TenantNotFoundError(f"A tenant id is a UUID{hint if len(path_id) <= MAX_PATH_ID_LENGTH else ''}")
        if not caller.may_see(tenant_id):
            raise TenantNotFoundError(is_denial=True)
        with database_errors():
            async with self.engine.connect() as connection:
                records = await read_tenants(connection, [tenant_id])
        if not records:
            raise TenantNotFoundError
        return TenantDocument.of(records[0])


def _token_of(place: TenantPlace) -> str:
    return f"{(place.created_at - YEAR_ONE) // MICROSECOND:018d}-{place.tenant_id.hex}"


def _place_of(token: str) -> TenantPlace:
    microseconds, _, tenant_id = token.partition("-")
    return TenantPlace(YEAR_ONE + int(microseconds) * MICROSECOND, UUID(tenant_id))
