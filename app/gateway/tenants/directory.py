"""Directory of tenants: a page of them, or one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import TenantFilter, TenantPlace, list_tenants, tenant_id_of
from activities.alga.directory import read_tenants
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.tenants.directory_documents import TenantDocument, TenantList, tenant_document

# Microseconds since year 1, and the id of the last tenant on a page. Every text of this form is a place, so that no
# token needs a second check.
TENANT_PAGE_TOKEN = r"^[0-2][0-9]{17}-[0-9a-f]{32}$"  # noqa: S105 - a pattern
MAX_PATH_ID_LENGTH = 255

YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Directory:
    """Reads tenants as the database has them, no matter who created them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, caller: Caller, wanted: TenantFilter, *, size: int, token: str | None) -> TenantList:
        """Return the page that the token leads to, or the first one; raises `DatabaseUnavailableError`.

        A caller that is bound to a tenant sees that one alone.
        """
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = place_of(token) if token is not None else None
        with database_errors():
            async with self._engine.connect() as connection:
                places = await list_tenants(connection, wanted, limit=size + 1, after=after)
                records = await read_tenants(connection, [place.tenant_id for place in places[:size]])
        return TenantList(
            tenants=tuple(tenant_document(record) for record in records),
            next_page_token=token_of(places[size - 1]) if len(places) > size else None,
        )

    async def find(self, caller: Caller, path_id: str) -> TenantDocument:
        """Return the tenant of that id; raises `TenantNotFoundError` or `DatabaseUnavailableError`."""
        tenant_id = tenant_id_of(path_id)
        if tenant_id is None:
            raise TenantNotFoundError(_not_a_tenant_id(path_id))
        if not caller.may_see(tenant_id):
            raise TenantNotFoundError(is_denial=True)
        with database_errors():
            async with self._engine.connect() as connection:
                records = await read_tenants(connection, [tenant_id])
        if not records:
            raise TenantNotFoundError
        return tenant_document(records[0])


def token_of(place: TenantPlace) -> str:
    """Return the token of the page that begins after the place."""
    return f"{(place.created_at - YEAR_ONE) // MICROSECOND:018d}-{place.tenant_id.hex}"


def place_of(token: str) -> TenantPlace:
    """Return the place that a token of the right form stands for."""
    microseconds, _, tenant_id = token.partition("-")
    return TenantPlace(YEAR_ONE + int(microseconds) * MICROSECOND, UUID(tenant_id))


def _not_a_tenant_id(path_id: str) -> str:
    if len(path_id) > MAX_PATH_ID_LENGTH:
        return "A tenant id is a UUID"
    return f"A tenant id is a UUID; for an operation use GET /operations/{quote(path_id, safe='')}"
