"""The calls of the API that delete tenants."""

from functools import partial
from uuid import UUID

from app.client.calls.tenants import JSON_BODY, Call, encode, path_of, read_operation
from app.client.models import Certificate, Deletion, Operation
from app.client.responses import read


def request_deletion(
    tenant_id: UUID | str,
    *,
    reason: str,
    grace_period_days: int | None = None,
    export: bool | None = None,
    confirm: bool | None = None,
) -> Call[Operation]:
    """Suspend a tenant, and delete it once that is confirmed and the grace period is over.

    Without the optional arguments, the gateway's defaults apply: 30 days, with an export, unconfirmed. The same
    request returns the operation that it started. Raises `ConflictError` if another operation on the tenant has not
    ended.
    """
    wanted = {"reason": reason, "gracePeriodDays": grace_period_days, "export": export, "confirm": confirm}
    body = encode({name: value for name, value in wanted.items() if value is not None})
    return Call("POST", _path(tenant_id), read_operation, headers=JSON_BODY, body=body)


def deletion(tenant_id: UUID | str) -> Call[Deletion]:
    """Return the newest deletion of a tenant; raise `NotFoundError` if there is none."""
    return Call("GET", _path(tenant_id), partial(read, model=Deletion))


def confirm_deletion(tenant_id: UUID | str) -> Call[Operation]:
    """Confirm the open deletion of a tenant, which starts its grace period.

    Raises `ConflictError` if it has ended or is being undone, and `AuthenticationError` if another person has to
    confirm it.
    """
    return Call("POST", f"{_path(tenant_id)}/confirm", read_operation, headers=JSON_BODY, body=b"{}")


def undo_deletion(tenant_id: UUID | str, *, reason: str | None = None) -> Call[Operation]:
    """Undo the deletion of a tenant before its purge; raise `ConflictError` if it has ended."""
    body = encode({} if reason is None else {"reason": reason})
    return Call("POST", f"{_path(tenant_id)}/undo", read_operation, headers=JSON_BODY, body=body)


def certificate(tenant_id: UUID | str) -> Call[Certificate]:
    """Return the proof of a tenant's newest completed deletion; raise `NotFoundError` if there is none."""
    return Call("GET", f"{_path(tenant_id)}/certificate", partial(read, model=Certificate))


def _path(tenant_id: UUID | str) -> str:
    return f"{path_of('tenants', str(tenant_id))}/deletion"
