"""The calls of the API that change the licences and the add-ons of tenants.

Each returns the tenant if it is changed, or else the operation that changes it. The gateway waits for 10 seconds, or
for `wait` if that is less. `event_id` is the sender's id of the change: one with the same id is not made again. All
raise `ConflictError` if another operation on the tenant has not ended, or the id belongs to another change.
"""

from datetime import datetime
from uuid import UUID

from app.client.calls.tenants import Call, change_call, path_of, query_of
from app.client.models import Operation
from app.client.tenants import Tenant


def change_licence(
    tenant_id: UUID | str,
    *,
    license_count: int | None = None,
    plan: str | None = None,
    event_id: str | None = None,
    wait: int | None = None,
) -> Call[Tenant | Operation]:
    """Set how many users of a tenant may sign in, its plan, or both."""
    body = dict(query_of(license_count=license_count, plan=plan, event_id=event_id))
    given: dict[str, object] = {**body, **({"licenseCount": license_count} if license_count is not None else {})}
    return change_call("PATCH", f"{path_of('tenants', str(tenant_id))}/licence", wait, given)


def grant_addon(
    tenant_id: UUID | str,
    addon_key: str,
    *,
    expires_at: datetime | None = None,
    event_id: str | None = None,
    wait: int | None = None,
) -> Call[Tenant | Operation]:
    """Grant a tenant an add-on until that time, or for good."""
    body: dict[str, object] = dict(query_of(expires_at=expires_at, event_id=event_id))
    return change_call("PUT", _addon(tenant_id, addon_key), wait, body)


def revoke_addon(
    tenant_id: UUID | str, addon_key: str, *, event_id: str | None = None, wait: int | None = None
) -> Call[Tenant | Operation]:
    """Take an add-on from a tenant at once."""
    return change_call("DELETE", _addon(tenant_id, addon_key), wait, query=query_of(event_id=event_id))


def _addon(tenant_id: UUID | str, addon_key: str) -> str:
    return path_of(f"tenants/{tenant_id}/addons", addon_key)
