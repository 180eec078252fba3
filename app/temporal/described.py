"""Operations as Temporal describes them: their snapshot, and what became of their workflow."""

import re
from dataclasses import dataclass
from datetime import datetime

from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from activities.reconciliation import ENDED_OUTSIDE
from app.temporal.errors import ForeignWorkflowError
from workflows.messages import OPERATION_MEMO, OperationError, OperationSnapshot, OperationStatus, StepProgress
from workflows.steps import (
    ALGADESK_TENANT_CREATION_WORKFLOW,
    TENANT_CLEANUP_WORKFLOW,
    TENANT_CREATION,
    TENANT_CREATION_WORKFLOW,
    WORKFLOW_ID_PREFIX,
    Step,
)

KINDS = {
    TENANT_CREATION_WORKFLOW: TENANT_CREATION,
    ALGADESK_TENANT_CREATION_WORKFLOW: TENANT_CREATION,
    TENANT_CLEANUP_WORKFLOW: TENANT_CREATION,
}
"""The workflow types that are operations, and their kind."""


OWN_ID = re.compile(re.escape(WORKFLOW_ID_PREFIX) + r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class DescribedOperation:
    """An operation as Temporal describes it."""

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot
    is_open: bool = True
    """Whether the workflow still runs, so that it can be cancelled."""
    is_cleanup: bool = False
    """Whether it is the workflow that removes what an operation of the same workflow id has left."""
    ended_how: str | None = None
    """What became of a workflow that did not end by itself."""

    @property
    def is_own(self) -> bool:
        """Whether our gateway chose the id, so that it is never used for a second operation."""
        tenant_id = self.snapshot.tenant_id
        return tenant_id is not None and self.workflow_id == workflow_id_of(tenant_id)


def workflow_id_of(tenant_id: object) -> str:
    """The id of the workflow that creates a tenant for our gateway."""
    return f"{WORKFLOW_ID_PREFIX}{tenant_id}"


def is_own_id(workflow_id: str) -> bool:
    """Whether a workflow id has the form of those that our gateway chooses."""
    return OWN_ID.fullmatch(workflow_id) is not None


async def read_description(description: WorkflowExecutionDescription) -> DescribedOperation:
    """What the description says; raises `ForeignWorkflowError` for a workflow that is not one of ours."""
    kind = KINDS.get(description.workflow_type)
    if kind is None:
        raise ForeignWorkflowError(description.id)
    snapshot = await _snapshot(description, kind)
    is_open = description.status is WorkflowExecutionStatus.RUNNING
    ended_how = None if is_open or snapshot.status.is_final else _how_it_ended(description.status)
    if ended_how is not None:
        snapshot = ended_outside(snapshot, ended_how, description.close_time)
    return DescribedOperation(
        description.id,
        _first_run_id(description),
        snapshot,
        is_open=is_open,
        is_cleanup=description.workflow_type == TENANT_CLEANUP_WORKFLOW,
        ended_how=ended_how,
    )


async def _snapshot(description: WorkflowExecutionDescription, kind: str) -> OperationSnapshot:
    started_at = description.start_time
    if OPERATION_MEMO in description.raw_info.memo.fields:
        snapshot = await description.memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    else:
        snapshot = OperationSnapshot(kind=kind, steps=tuple(StepProgress(name=step) for step in Step))
    snapshot = snapshot.model_copy(
        update={
            "started_at": snapshot.started_at or started_at,
            "updated_at": snapshot.updated_at or started_at,
        }
    )
    if snapshot.status.is_final:
        return snapshot
    if snapshot.status is not OperationStatus.ROLLING_BACK and _cancel_requested(description):
        return snapshot.model_copy(update={"status": OperationStatus.CANCELLING})
    return snapshot


def ended_outside(snapshot: OperationSnapshot, reason: str, closed_at: datetime | None = None) -> OperationSnapshot:
    """The snapshot of an operation whose workflow can't say any more how it stands."""
    return snapshot.model_copy(
        update={
            "status": OperationStatus.NEEDS_ATTENTION,
            "updated_at": closed_at or snapshot.updated_at,
            "next_try_at": None,
            "attention_deadline": None,
            "error": OperationError(
                code=ENDED_OUTSIDE,
                detail=f"{reason}; rows of the tenant may be left, cancel to remove them",
                step=snapshot.step,
            ),
        }
    )


def _how_it_ended(status: WorkflowExecutionStatus | None) -> str:
    """What became of a workflow that did not end by itself."""
    word = status.name.lower().replace("_", " ") if status else "closed"
    return f"the workflow was {word} in Temporal before it could finish or clean up"


def _cancel_requested(description: WorkflowExecutionDescription) -> bool:
    return description.raw_description.workflow_extended_info.cancel_requested


def _first_run_id(description: WorkflowExecutionDescription) -> str:
    return description.raw_info.first_run_id or description.run_id
