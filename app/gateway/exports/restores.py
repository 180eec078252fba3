"""Requests restores of tenants."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.tables import tenants
from app.auth.callers import Requester
from app.gateway.exports.archives import Archives
from app.gateway.exports.schemas import RestoreBody
from app.gateway.operations.documents import OperationView
from app.gateway.operations.problems import ManagementTenantError, TenantExistsError
from app.gateway.operations.starting import OperationStarts
from app.settings import Settings
from workflows.operations.messages import OperationSnapshot
from workflows.tenants.restore import RestoreRequest
from workflows.tenants.steps import RESTORE_WORKFLOW, TENANT_RESTORE


@dataclass(frozen=True, repr=False)
class Restores:
    """Restores of tenants from exports."""

    settings: Settings
    starts: OperationStarts
    archives: Archives

    async def request(self, body: RestoreBody, requester: Requester) -> OperationView:
        """Start a restore, or return the tenant's open one if it was requested with the same parameters.

        Raises:
            ProblemError: there is no such export for the caller or it has no archive, its tenant exists or is the
                management tenant, or another operation on the tenant has not ended.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        record = await self.archives.find_kept(requester.caller, body.export_id)
        if record.tenant_id == self.settings.master_billing_tenant_id:
            raise ManagementTenantError("This is Alga's own management tenant, which is never restored")
        wanted = RestoreRequest(
            tenant_id=record.tenant_id,
            export_id=record.export_id,
            tenant_name=record.tenant_name,
            dry_run=body.dry_run,
            origin=requester.origin(),
        )
        parameters = wanted.parameters_shown["parameters"]

        def is_same(snapshot: OperationSnapshot) -> bool:
            return bool(snapshot.parameters == parameters)

        async def check(connection: AsyncConnection) -> None:
            # A dry run says so itself, among all other reasons.
            if not body.dry_run:
                await _refuse_living(connection, record.tenant_id)

        return await self.starts.start(TENANT_RESTORE, RESTORE_WORKFLOW, wanted, is_same=is_same, check=check)


async def _refuse_living(connection: AsyncConnection, tenant_id: UUID) -> None:
    query = select(tenants.c.tenant).where(tenants.c.tenant == tenant_id)
    if await connection.scalar(query) is not None:
        raise TenantExistsError
