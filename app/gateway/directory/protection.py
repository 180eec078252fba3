"""Protects Alga's own tenant."""

from uuid import UUID

from app.gateway.operations.problems import ManagementTenantError, ManagementTenantUnknownError
from app.settings import Settings


def refuse_management_tenant(settings: Settings, tenant_id: UUID) -> None:
    """Raise `ProblemError` if the tenant is Alga's own, or if that is not known."""
    if settings.master_billing_tenant_id is None:
        raise ManagementTenantUnknownError
    if settings.master_billing_tenant_id == tenant_id:
        raise ManagementTenantError
