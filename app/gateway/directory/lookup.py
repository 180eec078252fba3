"""Finds one tenant."""

from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.across_tenants import TenantFilter, list_tenants, parse_tenant_id
from activities.alga.directory.billing import BILLING_TABLES, find_subscription, read_addons
from activities.alga.directory.tenants import TenantRecord, read_tenants
from activities.alga.tables import tenants
from activities.database.live_columns import KnownColumns
from activities.deletions.queries import DeletionStage, KnownDeletion, find_known_deletion
from activities.operations.queries import OperationFilter, list_operations
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.schemas import TenantDetails
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationInProgressError, OperationNotFoundError

MAX_PATH_ID_LENGTH = 255
SHOWN_OPERATIONS = 10


@dataclass(frozen=True, repr=False)
class TenantLookup:
    """Finds tenants in the database, no matter who created them.

    Every method may raise `DatabaseUnavailableError`, and `TenantNotFoundError` if the caller sees no such tenant.
    """

    engine: AsyncEngine
    operations: OperationLookup
    columns: KnownColumns = field(
        default_factory=lambda: KnownColumns(table.name for table in (tenants, *BILLING_TABLES))
    )

    async def find(self, caller: Caller, path_id: str) -> TenantDetails:
        """Return the tenant with this id, which may have been deleted."""
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                columns = await self.columns.read(connection)
                records = await read_tenants(connection, columns, [tenant_id])
                deletion = await _find_deletion(connection, tenant_id, is_gone=not records)
                operations = await list_operations(
                    connection, OperationFilter(tenant_id=tenant_id), limit=SHOWN_OPERATIONS
                )
                if not records:
                    if deletion is None:
                        raise TenantNotFoundError
                    return TenantDetails.of_gone(deletion, operations)
                (record,) = records
                subscription = await find_subscription(connection, columns, tenant_id, record.billing_source)
                addons = await read_addons(connection, columns, tenant_id)
        return TenantDetails.of_live(record, deletion, subscription, addons, operations)

    async def check_live(self, connection: AsyncConnection, tenant_id: UUID) -> None:
        """Raise `TenantNotFoundError` if the tenant has been deleted meanwhile."""
        if not await read_tenants(connection, await self.columns.read(connection), [tenant_id]):
            raise TenantNotFoundError

    async def find_live(self, caller: Caller, path_id: str) -> TenantRecord:
        """Return a tenant that was not deleted.

        Raises `OperationInProgressError` if it is just being created, and `TemporalUnavailableError` if there is no
        such tenant, and Temporal can't say whether there will be one.
        """
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                records = await read_tenants(connection, await self.columns.read(connection), [tenant_id])
        if records:
            return records[0]
        # While it writes the tenant, nothing of that can be seen in the database, perhaps not even its own row.
        with suppress(OperationNotFoundError):
            creation = await self.operations.find_creation_for(caller, tenant_id)
            if creation.is_open and creation.snapshot.committed_at is None:
                raise OperationInProgressError.of_creation(creation.workflow_id)
        raise TenantNotFoundError

    async def find_id(self, caller: Caller, path_id: str) -> UUID:
        """Return the id of a tenant, which may have been deleted."""
        tenant_id = visible_tenant_id(caller, path_id)
        with database_errors():
            async with self.engine.connect() as connection:
                is_live = bool(await list_tenants(connection, TenantFilter(tenant_id=tenant_id), limit=1))
                if not is_live and await _find_deletion(connection, tenant_id, is_gone=True) is None:
                    raise TenantNotFoundError
        return tenant_id


def visible_tenant_id(caller: Caller, path_id: str) -> UUID:
    """Return the id in a path; raise `TenantNotFoundError` if it is no tenant id, or the caller may not see it."""
    tenant_id = parse_tenant_id(path_id)
    if tenant_id is None:
        hint = f"; for an operation use GET /operations/{quote(path_id, safe='')}"
        raise TenantNotFoundError(f"A tenant id is a UUID{hint if len(path_id) <= MAX_PATH_ID_LENGTH else ''}")
    if not caller.may_see(tenant_id):
        raise TenantNotFoundError(is_denial=True)
    return tenant_id


async def _find_deletion(connection: AsyncConnection, tenant_id: UUID, *, is_gone: bool) -> KnownDeletion | None:
    """Return the deletion that is open, or that has removed the tenant; a restored tenant has none."""
    deletion = await find_known_deletion(connection, tenant_id)
    if deletion is None or (deletion.stage is DeletionStage.DELETED) is not is_gone:
        return None
    return deletion
