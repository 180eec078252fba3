"""Changes the licences and the add-ons of tenants."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.entitlements.applied import is_applied
from activities.errors import FinalError
from app.auth.callers import Requester
from app.gateway.directory.changes import NotNeededError, TenantChange, TenantChanges, refusal_problem
from app.gateway.directory.lookup import TenantLookup
from app.gateway.entitlements.schemas import AddonBody, LicenceBody
from workflows.operations.kinds import OperationKind
from workflows.operations.messages import OperationSnapshot
from workflows.tenants.entitlements import AddonRequest, EntitlementRequest, LicenceRequest
from workflows.tenants.steps import ADDON_CHANGE, LICENCE_CHANGE


@dataclass(frozen=True, repr=False)
class Entitlements:
    """Starts operations that change licences and add-ons, and waits for them.

    Its methods raise:
        ProblemError: there is no such tenant for the caller, the event id belongs to another change, another
            operation on the tenant has not ended, or the operation has failed or was cancelled.
        TemporalUnavailableError, DatabaseUnavailableError: as `OperationStarts.start`.
    """

    tenants: TenantLookup
    changes: TenantChanges

    async def change_licence(
        self, path_id: str, body: LicenceBody, requester: Requester, wait: int | None
    ) -> TenantChange:
        """Change the number of licences, the plan, or both, unless that was done under the same event id."""
        tenant = await self.tenants.find_live(requester.caller, path_id)
        request = LicenceRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            event_id=body.event_id,
            license_count=body.license_count,
            plan=body.plan,
            origin=requester.origin(),
        )
        return await self._make(LICENCE_CHANGE, request, requester, wait)

    async def grant_addon(
        self, path_id: str, key: str, body: AddonBody, requester: Requester, wait: int | None
    ) -> TenantChange:
        """Grant an add-on, or prolong it, unless that was done under the same event id."""
        tenant = await self.tenants.find_live(requester.caller, path_id)
        request = AddonRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            event_id=body.event_id,
            addon_key=key,
            is_granted=True,
            expires_at=body.expires_at,
            origin=requester.origin(),
        )
        return await self._make(ADDON_CHANGE, request, requester, wait)

    async def revoke_addon(
        self, path_id: str, key: str, event_id: str | None, requester: Requester, wait: int | None
    ) -> TenantChange:
        """Take an add-on from the tenant, unless that was done under the same event id."""
        tenant = await self.tenants.find_live(requester.caller, path_id)
        request = AddonRequest(
            tenant_id=tenant.tenant_id,
            tenant_name=tenant.name,
            event_id=event_id,
            addon_key=key,
            is_granted=False,
            origin=requester.origin(),
        )
        return await self._make(ADDON_CHANGE, request, requester, wait)

    async def _make(
        self, kind: OperationKind, request: EntitlementRequest, requester: Requester, wait: int | None
    ) -> TenantChange:
        async def check(connection: AsyncConnection) -> None:
            try:
                if await is_applied(connection, kind.name, request.tenant_id, request):
                    raise NotNeededError
            except FinalError as error:
                raise refusal_problem(error) from None

        def is_same(snapshot: OperationSnapshot) -> bool:
            return bool(snapshot.parameters == request.parameters_shown["parameters"])

        (workflow_type,) = kind.workflow_types
        return await self.changes.make(kind, workflow_type, request, requester, check, wait, is_same=is_same)
