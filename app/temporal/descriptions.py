"""Reads operations from Temporal's descriptions of workflows."""

from dataclasses import dataclass

from temporalio.api.enums.v1 import PendingWorkflowTaskState
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from activities.operations.reconciliation import ended_outside
from app.temporal.encryption import is_encrypted
from app.temporal.errors import ForeignWorkflowError, UnknownOperationError
from workflows.operations.kinds import KINDS, OperationKind, initial_snapshot
from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot
from workflows.operations.statuses import OperationStatus

TASK_STARTED = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED


@dataclass(frozen=True)
class TemporalOperation:
    """An operation as Temporal describes it."""

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot
    is_open: bool = True
    """Whether the workflow still runs, so that it can be cancelled."""
    closed_as: str | None = None
    """How the workflow was closed, if not by its own code."""

    @property
    def has_own_id(self) -> bool:
        """Whether the gateway chose the workflow id, so that no client of Temporal uses it again."""
        return KINDS.is_own_id(self.workflow_id)


async def read_description(description: WorkflowExecutionDescription) -> TemporalOperation:
    """Return the described operation.

    Raises `ForeignWorkflowError` for a workflow of another type, and `UnknownOperationError` for one that a client of
    Temporal started with an id of the gateway: the operation of that id is an earlier run.
    """
    kind = KINDS.of_workflow_type(description.workflow_type)
    if kind is None:
        raise ForeignWorkflowError(description.id)
    # Any client of Temporal can set a memo; a plaintext one is not ours.
    has_memo = is_encrypted(description.raw_info.memo.fields[OPERATION_MEMO])
    if KINDS.is_own_id(description.id) and not has_memo:
        raise UnknownOperationError(description.id)
    snapshot = await _snapshot(description, kind, has_memo=has_memo)
    is_open = description.status is WorkflowExecutionStatus.RUNNING
    closed_as = None if is_open or snapshot.has_ended else _closed_as(description.status)
    if closed_as is not None:
        snapshot = ended_outside(snapshot, closed_as, closed_at=description.close_time)
    return TemporalOperation(
        description.id,
        description.raw_info.first_run_id or description.run_id,
        snapshot,
        is_open=is_open,
        closed_as=closed_as,
    )


async def _snapshot(
    description: WorkflowExecutionDescription, kind: OperationKind, *, has_memo: bool
) -> OperationSnapshot:
    started_at = description.start_time
    snapshot = initial_snapshot(kind)
    if has_memo:
        snapshot = await description.memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    changes: dict[str, object] = {
        "started_at": snapshot.started_at or started_at,
        "updated_at": snapshot.updated_at or started_at,
    }
    raw = description.raw_description
    is_cancelled = raw.workflow_extended_info.cancel_requested
    if is_cancelled and snapshot.is_cancellable and snapshot.cancelled_by is None:
        # The workflow has not handled the cancel yet. Afterwards, closing may wait for an operator.
        changes["status"] = kind.stopping_status(snapshot)
    elif snapshot.status is OperationStatus.QUEUED and raw.pending_workflow_task.state == TASK_STARTED:
        # The first attempt is not published, because a memo becomes visible when the workflow task completes.
        changes["status"] = OperationStatus.RUNNING
    return snapshot.model_copy(update=changes)


def _closed_as(status: WorkflowExecutionStatus | None) -> str:
    word = status.name.lower().replace("_", " ") if status else "closed"
    return f"the workflow was {word} in Temporal"
