"""The audit trail of this installation, and the events that requests become."""

from collections.abc import Mapping
from uuid import UUID

from activities.audit.events import Action, AuditEvent, Json, Outcome
from activities.audit.trail import AuditTrail
from app.auth.callers import Requester
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "audit trail"


def audit_trail(settings: Settings) -> AuditTrail:
    """The trail with the key of `AUDIT_SECRET`, or else of `NEXTAUTH_SECRET`."""
    secret = settings.audit_secret or settings.nextauth_secret
    return AuditTrail(derive_key(secret.get_secret_value(), PURPOSE))


def requested(
    action: Action,
    requester: Requester,
    *,
    workflow_id: str | None = None,
    tenant_id: UUID | None = None,
    subject: str | None = None,
    details: Mapping[str, Json] | None = None,
) -> AuditEvent:
    """What a requester asked for and got."""
    return AuditEvent(
        action=action,
        outcome=Outcome.ACCEPTED,
        caller=requester.caller.identity,
        on_behalf_of=requester.on_behalf_of,
        workflow_id=workflow_id,
        tenant_id=tenant_id,
        subject=subject,
        request_id=requester.request_id,
        address=requester.address,
        details=details or {},
    )
