"""What the audit trail is told of operations."""

from collections.abc import Mapping
from uuid import UUID, uuid4

from activities.audit.events import Action, AuditEvent, Json, Outcome
from workflows.operations.messages import Origin

UNKNOWN_CALLER = "temporal"
"""Who asks without us: whoever may talk to Temporal."""


def operation_event(
    action: Action,
    origin: Origin,
    *,
    workflow_id: str,
    tenant_id: UUID | None,
    details: Mapping[str, Json] | None = None,
    event_id: UUID | None = None,
) -> AuditEvent:
    """The event of a request that was taken on; `event_id` makes telling it twice one event."""
    caller = origin.requested_via or UNKNOWN_CALLER
    return AuditEvent(
        action=action,
        outcome=Outcome.ACCEPTED,
        caller=caller,
        on_behalf_of=origin.requested_by if origin.requested_by != caller else None,
        workflow_id=workflow_id,
        tenant_id=tenant_id,
        request_id=origin.request_id,
        address=origin.address,
        details=details or {},
        id=event_id or uuid4(),
    )
