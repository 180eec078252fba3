"""The state of a deletion: what its row says, and what Alga's client reads in its own terms."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from workflows.operations.messages import Cancellation, Message, OperationSnapshot, OperationWarning, OwnMessage
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import DELETION, LIST_EXTERNAL

# Namespace of the ids of deletions in Alga's table.
DELETIONS = UUID("8f1d1a0e-3c0b-4f0f-8a27-6a4a6b1f5a90")
# The signal by which a deletion informs the workflow of Alga's client.
STATE_SIGNAL = "deletionState"

PENDING = "pending"
AWAITING_CONFIRMATION = "awaiting_confirmation"
CONFIRMED = "confirmed"
DELETING = "deleting"
DELETED = "deleted"
ROLLED_BACK = "rolled_back"
FAILED = "failed"

_ENDS = {
    OperationStatus.COMPLETED: ("completed", DELETED),
    OperationStatus.CANCELLED: ("completed", ROLLED_BACK),
    OperationStatus.FAILED: ("failed", FAILED),
}


class DeletionState(Message):
    """What the deletion's row says; a result leaves out what the activity has not read.

    Confirmed deletions have a time for which the purge is scheduled. `confirmed_by` is what Alga's client may see.
    `warnings` say what the first step has left out.
    """

    is_recorded: bool = False
    stats: dict[str, Any] | None = None
    confirmation_type: str | None = None
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    scheduled_for: datetime | None = None
    warnings: tuple[OperationWarning, ...] = ()

    def with_newer(self, newer: "DeletionState") -> "DeletionState":
        """Return the state with what was read later."""
        return self.model_copy(update={name: value for name, value in newer if value})


class OpenDeletion(Message):
    """A deletion that has not ended."""

    workflow_id: str
    deletion_id: UUID
    status: str


class WireState(Message):
    """Result of the queries `getDeletionState` and `getState`; unknown parts are absent."""

    step: str = "initializing"
    status: str = PENDING
    deletion_id: UUID | None = None
    tenant_id: UUID | None = None
    tenant_name: str | None = None
    stats: dict[str, Any] | None = None
    confirmation_type: str | None = None
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    deletion_scheduled_for: datetime | None = None
    rollback_reason: str | None = None
    rolled_back_by: str | None = None
    error: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The JSON that Alga's client reads."""
        return self.model_dump(mode="json", exclude_none=True)


class StateReport(OwnMessage):
    """Argument of the signal `deletionState`: the state of the deletion in workflow `deletion`."""

    deletion: str
    state: WireState


def deletion_id(workflow_id: str, run_id: str) -> UUID:
    """Return the id of the deletion in Alga's table, the same in each attempt."""
    return uuid5(DELETIONS, f"{workflow_id}\0{run_id}")


def wire_state(
    snapshot: OperationSnapshot, deletion: UUID, recorded: DeletionState, cancellation: Cancellation | None
) -> WireState:
    """Return the state of a deletion in the terms of Alga's client, without callers of the gateway."""
    step, status = _step_and_status(snapshot, recorded)
    # A cancel that came after the commit is none.
    rollback = cancellation if cancellation is not None and snapshot.cancelled_by is not None else Cancellation()
    return WireState(
        step=step,
        status=status,
        deletion_id=deletion,
        tenant_id=snapshot.tenant_id,
        tenant_name=snapshot.tenant_name,
        stats=recorded.stats,
        confirmation_type=recorded.confirmation_type,
        confirmed_by=recorded.confirmed_by,
        confirmed_at=recorded.confirmed_at,
        deletion_scheduled_for=recorded.scheduled_for,
        rollback_reason=rollback.reason,
        rolled_back_by=rollback.claimed_by,
        error=snapshot.error.detail if snapshot.error is not None else None,
    )


def _step_and_status(snapshot: OperationSnapshot, recorded: DeletionState) -> tuple[str, str]:
    if (end := _ENDS.get(snapshot.status)) is not None:
        return end
    step = DELETION.find_step(snapshot.step)
    shown = step.wire_name or step.name if step is not None else WireState().step
    if snapshot.committed_at is not None:
        return shown, DELETED
    if snapshot.status.is_stopping:
        shown = "rolling_back"
    elif step is not None and DELETION.progress_after(step.name) >= DELETION.progress_after(LIST_EXTERNAL):
        return shown, DELETING
    if recorded.scheduled_for is not None:
        return shown, CONFIRMED
    return shown, AWAITING_CONFIRMATION if recorded.is_recorded else PENDING
