"""The audit events of operations."""

from collections.abc import Mapping
from uuid import UUID, uuid4

from activities.audit.events import Action, AuditEvent, Json, Outcome
from workflows.operations.kinds import KINDS
from workflows.operations.messages import UNKNOWN_CALLER, OperationContext, Origin


def request_event(context: OperationContext) -> AuditEvent:
    """Return the audit event of an operation's request; its id is that of the start, so that each start has one."""
    start_id = context.origin.start_id
    action = Action(KINDS[context.snapshot.kind].request_action)
    return operation_event(action, context, context.origin, event_id=UUID(start_id) if start_id is not None else None)


def operation_event(
    action: Action,
    context: OperationContext,
    origin: Origin,
    *,
    event_id: UUID | None = None,
    details: Mapping[str, Json] | None = None,
) -> AuditEvent:
    """Return the audit event of an accepted request; a second event with the same id is not recorded."""
    caller = origin.requested_via or UNKNOWN_CALLER
    return AuditEvent(
        action=action,
        outcome=Outcome.ACCEPTED,
        caller=caller,
        on_behalf_of=origin.requested_by if origin.requested_by != caller else None,
        workflow_id=context.workflow_id,
        tenant_id=context.snapshot.tenant_id,
        request_id=origin.request_id,
        address=origin.address,
        details=details or {},
        id=event_id or uuid4(),
    )
