"""Suspends tenants, and undoes their suspensions."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.suspensions.rows import Standing, find_standing
from app.auth.callers import Requester
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.protection import refuse_management_tenant
from app.gateway.directory.schemas import TenantDetails
from app.gateway.http.problems.problem import Fault
from app.gateway.operations.documents import OperationView
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import OperationStoppingError, SuspendedByAlgaError, problem_kind_of
from app.gateway.operations.schemas import StatusDocument
from app.gateway.operations.starting import OperationStarts
from app.settings import Settings
from workflows.operations.kinds import OperationKind
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import REACTIVATION, SUSPENSION
from workflows.tenants.suspension import SuspensionRequest

IsNeeded = Callable[[Standing], bool]


@dataclass(frozen=True, repr=False)
class SuspensionChange:
    """The tenant once it is as requested, or else the operation; `operation` is None if the tenant was so before."""

    document: TenantDetails | StatusDocument
    operation: OperationView | None


class _NotNeededError(Exception):
    """The tenant is as requested."""


@dataclass(frozen=True, repr=False)
class Suspensions:
    """Starts operations that suspend and reactivate tenants, and waits for them."""

    settings: Settings
    starts: OperationStarts
    lookup: OperationLookup
    tenants: TenantLookup

    async def suspend(self, path_id: str, reason: str, requester: Requester, wait: int) -> SuspensionChange:
        """Suspend the tenant, unless we have suspended it before, and wait for that number of seconds.

        Simultaneous requests are one operation, with the reason of the first.

        Raises:
            ProblemError: there is no such tenant for the caller, it must not be suspended, another operation on it
                has not ended, or the operation has failed or was cancelled.
            TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
        """
        return await self._change(SUSPENSION, path_id, reason, requester, wait, _needs_suspension)

    async def reactivate(self, path_id: str, requester: Requester, wait: int) -> SuspensionChange:
        """Undo the tenant's suspension, unless it is active; raises as `suspend` does."""
        return await self._change(REACTIVATION, path_id, None, requester, wait, _needs_reactivation)

    async def _change(  # noqa: PLR0917 - what the two have in common
        self,
        kind: OperationKind,
        path_id: str,
        reason: str | None,
        requester: Requester,
        wait: int,
        is_needed: IsNeeded,
    ) -> SuspensionChange:
        tenant = await self.tenants.find_live(requester.caller, path_id)
        refuse_management_tenant(self.settings, tenant.tenant_id)

        async def check(connection: AsyncConnection) -> None:
            if not is_needed(await find_standing(connection, tenant.tenant_id)):
                raise _NotNeededError

        request = SuspensionRequest(
            tenant_id=tenant.tenant_id, tenant_name=tenant.name, reason=reason, origin=requester.origin()
        )
        (workflow_type,) = kind.workflow_types
        try:
            operation = await self.starts.start(kind, workflow_type, request, is_same=lambda _: True, check=check)
        except _NotNeededError:
            return SuspensionChange(await self.tenants.find(requester.caller, path_id), None)
        operation = await self._ended(operation, wait)
        if operation.snapshot.status is not OperationStatus.COMPLETED:
            return SuspensionChange(operation.document, operation)
        return SuspensionChange(await self.tenants.find(requester.caller, path_id), operation)

    async def _ended(self, operation: OperationView, seconds: int) -> OperationView:
        """Return the operation once it has completed, or as it is after the time; raise why it has not succeeded."""
        if seconds:
            operation = await self.lookup.wait_if_possible(operation, seconds)
        snapshot = operation.snapshot
        if snapshot.status is OperationStatus.CANCELLED:
            raise OperationStoppingError(f"{operation.workflow_id} was cancelled before it changed the tenant")
        if snapshot.status is OperationStatus.FAILED and (error := snapshot.error) is not None:
            errors = [Fault(field=error.field, detail=error.detail)] if error.field is not None else None
            raise problem_kind_of(error.code)(error.detail, errors=errors)
        return operation


def _needs_suspension(standing: Standing) -> bool:
    return standing is not Standing.SUSPENDED


def _needs_reactivation(standing: Standing) -> bool:
    if standing is Standing.SUSPENDED_BY_ALGA:
        raise SuspendedByAlgaError
    return standing.has_record
