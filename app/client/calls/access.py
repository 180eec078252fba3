"""The calls of the API for API keys and the audit trail."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import Field

from app.client.calls.tenants import JSON_BODY, Call, Listing, encode, path_of, query_of
from app.client.models import Document, Page
from app.client.responses import read

KEYS = "api-keys"


class ApiKey(Document):
    """An API key, without its secret. Only one with the state `active` can be used."""

    id: str
    name: str
    state: str
    scopes: tuple[str, ...] = ()
    tenant_id: UUID | None = None
    created_by: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedApiKey(ApiKey):
    """A new API key with its secret, this once."""

    key: str = Field(repr=False)


class AuditEvent(Document):
    """An accepted or denied action; `as_json` also has the hashes of the chain."""

    sequence: int
    id: UUID
    occurred_at: datetime
    action: str
    outcome: str
    caller: str
    on_behalf_of: str | None = None
    workflow_id: str | None = None
    tenant_id: UUID | None = None
    subject: str | None = None
    reason: str | None = None
    request_id: str | None = None
    address: str | None = None
    method: str | None = None
    path: str | None = None
    count: int = 1
    details: dict[str, Any] = Field(default_factory=dict)


_read_created = partial(read, model=CreatedApiKey)


def api_keys() -> Listing[ApiKey]:
    """Yield all API keys that the caller may see, oldest first, including unusable ones."""
    return Listing(KEYS, Page[ApiKey], ())


def create_api_key(
    name: str,
    *,
    scopes: Iterable[str] | None = None,
    tenant_id: UUID | str | None = None,
    expires_in_days: int | None = None,
) -> Call[CreatedApiKey]:
    """Create an API key, which may have only scopes that the caller has.

    Without the optional arguments, the gateway's defaults apply. The call is not repeated if its response is lost,
    because each attempt would create a key.
    """
    wanted = {
        "name": name,
        "scopes": None if scopes is None else sorted(scopes),
        "tenantId": None if tenant_id is None else str(tenant_id),
        "expiresInDays": expires_in_days,
    }
    return _creation(KEYS, wanted)


def rotate_api_key(
    key_id: str, *, overlap_hours: int | None = None, expires_in_days: int | None = None
) -> Call[CreatedApiKey]:
    """Create an API key that replaces another, which works until the overlap ends, 24 hours by default.

    Raises `ConflictError` if the old one can't be used. The call is not repeated, like `create_api_key`.
    """
    wanted = {"overlapHours": overlap_hours, "expiresInDays": expires_in_days}
    return _creation(f"{path_of(KEYS, key_id)}/rotate", wanted)


def revoke_api_key(key_id: str) -> Call[ApiKey]:
    """Revoke an API key, which gateways stop accepting within seconds; raise `NotFoundError` if there is none."""
    return Call("DELETE", path_of(KEYS, key_id), partial(read, model=ApiKey))


def audit_events(
    *,
    action: Iterable[str] = (),
    outcome: Iterable[str] = (),
    caller: str | None = None,
    workflow_id: str | None = None,
    tenant_id: UUID | str | None = None,
    occurred_after: datetime | None = None,
    occurred_before: datetime | None = None,
    page_size: int | None = None,
) -> Listing[AuditEvent]:
    """Yield audit events, newest first; `action` and `outcome` may have several values each."""
    filters = query_of(
        action=action,
        outcome=outcome,
        caller=caller,
        workflow_id=workflow_id,
        tenant_id=tenant_id,
        occurred_after=occurred_after,
        occurred_before=occurred_before,
        page_size=page_size,
    )
    return Listing("audit-events", Page[AuditEvent], filters)


def _creation(path: str, wanted: dict[str, Any]) -> Call[CreatedApiKey]:
    body = encode({name: value for name, value in wanted.items() if value is not None})
    return Call("POST", path, _read_created, headers=JSON_BODY, body=body, is_retried=False)
