"""Suspends tenants, and undoes their suspensions."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.directory.rights import DIRECTORY_COLUMNS
from activities.suspensions.counting import count_changes, count_recorded
from activities.suspensions.rows import Standing, find_left_out, find_record, find_standing
from app.auth.callers import Caller, Requester
from app.database import database_errors
from app.gateway.directory.changes import NotNeededError, TenantChange, TenantChanges, rival_of
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.protection import readable, refuse_management_tenant
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.problems import SuspendedByAlgaError
from app.gateway.operations.schemas import WarningDocument
from app.gateway.tenants.schemas import SuspensionPreview, SuspensionRecordDocument
from app.settings import Settings
from workflows.operations.kinds import OperationKind
from workflows.tenants.steps import REACTIVATION, SUSPENSION
from workflows.tenants.suspension import SuspensionRequest

IsNeeded = Callable[[Standing], bool]


@dataclass(frozen=True, repr=False)
class Suspensions:
    """Starts operations that suspend and reactivate tenants, waits for them, and previews them."""

    settings: Settings
    engine: AsyncEngine
    tenants: TenantLookup
    changes: TenantChanges

    async def suspend(self, path_id: str, reason: str, requester: Requester, wait: int | None) -> TenantChange:
        """Suspend the tenant, unless we have suspended it before, and wait for that number of seconds.

        Simultaneous requests are one operation, with the reason of the first.

        Raises:
            ProblemError: there is no such tenant for the caller, it must not be suspended, another operation on it
                has not ended, or the operation has failed or was cancelled.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        return await self._change(SUSPENSION, path_id, reason, requester, wait, _needs_suspension)

    async def reactivate(self, path_id: str, requester: Requester, wait: int | None) -> TenantChange:
        """Undo the tenant's suspension, unless it is active; raises as `suspend` does."""
        return await self._change(REACTIVATION, path_id, None, requester, wait, _needs_reactivation)

    async def preview(self, caller: Caller, path_id: str) -> SuspensionPreview:
        """Return what a suspension would change, or what the tenant's suspension has changed.

        Raises `TenantNotFoundError`, `OperationInProgressError`, `UnreadableTablesError` or
        `DatabaseUnavailableError`.
        """
        tenant = await self.tenants.find_live(caller, path_id)
        refusals = self._refusals(tenant.tenant_id)
        with database_errors():
            async with self.engine.connect() as connection, readable(connection, DIRECTORY_COLUMNS):
                standing = await find_standing(connection, tenant.tenant_id)
                record = await find_record(connection, tenant.tenant_id)
                count = count_recorded if standing is Standing.SUSPENDED else count_changes
                rows = await count(connection, tenant.tenant_id)
                left_out = await find_left_out(connection)
                if (rival := await rival_of(connection, tenant.tenant_id, SUSPENSION)) is not None:
                    refusals.append(rival)
        return SuspensionPreview(
            tenant_id=tenant.tenant_id,
            name=tenant.name,
            is_suspended=standing.is_suspended,
            is_by_alga=standing is Standing.SUSPENDED_BY_ALGA,
            record=SuspensionRecordDocument.model_validate(record) if record is not None else None,
            rows=rows,
            staff=tenant.user_count,
            left_out=tuple(map(WarningDocument.model_validate, left_out)),
            refusals=tuple(refusals),
        )

    def _refusals(self, tenant_id: UUID) -> list[str]:
        try:
            refuse_management_tenant(self.settings, tenant_id)
        except ProblemError as problem:
            return [problem.detail]
        return []

    async def _change(  # noqa: PLR0917 - what the two have in common
        self,
        kind: OperationKind,
        path_id: str,
        reason: str | None,
        requester: Requester,
        wait: int | None,
        is_needed: IsNeeded,
    ) -> TenantChange:
        tenant = await self.tenants.find_live(requester.caller, path_id)
        refuse_management_tenant(self.settings, tenant.tenant_id)

        async def check(connection: AsyncConnection) -> None:
            if not is_needed(await find_standing(connection, tenant.tenant_id)):
                raise NotNeededError

        request = SuspensionRequest(
            tenant_id=tenant.tenant_id, tenant_name=tenant.name, reason=reason, origin=requester.origin()
        )
        (workflow_type,) = kind.workflow_types
        return await self.changes.make(kind, workflow_type, request, requester, check, wait)


def _needs_suspension(standing: Standing) -> bool:
    return standing is not Standing.SUSPENDED


def _needs_reactivation(standing: Standing) -> bool:
    if standing is Standing.SUSPENDED_BY_ALGA:
        raise SuspendedByAlgaError
    return standing.has_record
