"""Pages of a tenant's users, newest first."""

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.directory.users import UserFilter, list_users
from activities.alga.tables import users
from activities.database.live_columns import KnownColumns
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.pages import place_of, token_of
from app.gateway.directory.schemas import UserDocument, UserList


@dataclass(frozen=True, repr=False)
class UserListing:
    """Reads pages of a tenant's users, without secrets."""

    engine: AsyncEngine
    tenants: TenantLookup
    columns: KnownColumns = field(default_factory=lambda: KnownColumns([users.name]))

    async def page(
        self, caller: Caller, path_id: str, wanted: UserFilter, *, size: int, token: str | None
    ) -> UserList:
        """Return the page of the token, or the first one; a deleted tenant has no users.

        Raises `TenantNotFoundError` or `DatabaseUnavailableError`.
        """
        tenant_id = await self.tenants.find_id(caller, path_id)
        after = place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                columns = await self.columns.read(connection)
                found = await list_users(connection, columns, tenant_id, wanted, limit=size + 1, after=after)
        return UserList(
            users=tuple(map(UserDocument.model_validate, found[:size])),
            next_page_token=token_of(found[size - 1].place) if len(found) > size else None,
        )
