"""Turns what Temporal and the `operations` table say about an operation into the documents that callers get."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from activities.operation_records import OperationRecord
from activities.reconciliation import ENDED_OUTSIDE
from app.gateway.problems import Fault, title_of, type_of
from app.gateway.responses import EncodedDocument
from app.gateway.schemas import (
    CreatedDocument,
    Links,
    OperationProblem,
    OperationSummary,
    ResultDocument,
    StatusDocument,
    StepDocument,
)
from app.temporal.described import DescribedOperation
from workflows.messages import OperationError, OperationResult, OperationSnapshot, OperationStatus, StepProgress

STOPPING = {OperationStatus.CANCELLING, OperationStatus.ROLLING_BACK}

# The HTTP status that the gateway would have answered, had it known before the start.
ERROR_STATUSES = {
    "duplicate-email": 409,
    "tenant-exists": 409,
    "invalid-request": 422,
    "unknown-billing-plan": 422,
    # Passing ones: it may work later.
    "database-unavailable": 503,
    "database-busy": 503,
    "database-timeout": 503,
    "database-read-only": 503,
    "database-access-refused": 503,
    "database-failure": 503,
    "database-schema-incomplete": 503,
    "pgbouncer-undeclared": 503,
    "timeout": 503,
}


@dataclass(frozen=True)
class OperationView:
    """What is known of an operation: `described` by Temporal, or else read from its row.

    `is_open` is False once its workflow has ended, or is no longer known to Temporal.
    """

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot
    is_open: bool
    described: DescribedOperation | None = None

    @cached_property
    def encoded(self) -> EncodedDocument:
        """The status document as it is sent."""
        return EncodedDocument.of(status_document(self))

    @property
    def has_ended_outside(self) -> bool:
        """Whether its workflow was ended by somebody else, so that what it left must be cleaned up."""
        return not self.is_open and self.snapshot.status is OperationStatus.NEEDS_ATTENTION

    @property
    def is_cancellable(self) -> bool:
        """Whether a cancel would change anything."""
        return self.has_ended_outside or (self.is_open and _can_stop(self.snapshot.status))

    @property
    def is_parked(self) -> bool:
        """Whether it waits for an operator, and would go on."""
        return self.is_open and self.snapshot.status is OperationStatus.NEEDS_ATTENTION


def status_document(view: OperationView) -> StatusDocument:
    """The operation's status document."""
    return StatusDocument(**_status_fields(view))


def creation_document(view: OperationView, temporary_password: str | None) -> CreatedDocument:
    """The status document with the password that was made for the administrator, if one was."""
    return CreatedDocument(**_status_fields(view), temporary_password=temporary_password)


def summary(record: OperationRecord) -> OperationSummary:
    """The operation's line in the list."""
    snapshot = record.snapshot
    return OperationSummary(
        workflow_id=record.workflow_id,
        tenant_id=snapshot.tenant_id,
        tenant_name=record.tenant_name,
        product_code=record.product_code,
        kind=snapshot.kind,
        status=snapshot.status,
        step=snapshot.step,
        progress=snapshot.progress,
        error=_problem(snapshot.error),
        requested_by=snapshot.requested_by,
        requested_via=snapshot.requested_via,
        started_at=snapshot.started_at,
        updated_at=snapshot.updated_at,
        finished_at=snapshot.finished_at,
        links=_links(record.workflow_id, cancellable=_can_stop(snapshot.status), resumable=_is_parked(snapshot)),
    )


def status_path(workflow_id: str) -> str:
    """Where the status document is."""
    return f"{_path(workflow_id)}/status"


def _status_fields(view: OperationView) -> dict[str, Any]:
    snapshot = view.snapshot
    return {
        "workflow_id": view.workflow_id,
        "tenant_id": snapshot.tenant_id,
        "kind": snapshot.kind,
        "status": snapshot.status,
        "step": snapshot.step,
        "progress": snapshot.progress,
        "steps": tuple(_step(step) for step in snapshot.steps),
        "error": _problem(snapshot.error),
        "result": _result(snapshot.result),
        "requested_by": snapshot.requested_by,
        "requested_via": snapshot.requested_via,
        "cancelled_by": snapshot.cancelled_by,
        "cancelled_via": snapshot.cancelled_via,
        "cancel_reason": snapshot.cancel_reason,
        "started_at": snapshot.started_at,
        "updated_at": snapshot.updated_at,
        "finished_at": snapshot.finished_at,
        "next_try_at": snapshot.next_try_at,
        "attention_deadline": snapshot.attention_deadline,
        "cancellable": view.is_cancellable,
        "source": "temporal" if view.described is not None else "database",
        "links": _links(view.workflow_id, cancellable=view.is_cancellable, resumable=view.is_parked),
    }


def _can_stop(status: OperationStatus) -> bool:
    return not status.is_final and status not in STOPPING


def _path(workflow_id: str) -> str:
    return f"/tenants/{quote(workflow_id, safe='')}"


def _is_parked(snapshot: OperationSnapshot) -> bool:
    has_ended = snapshot.error is not None and snapshot.error.code == ENDED_OUTSIDE
    return snapshot.status is OperationStatus.NEEDS_ATTENTION and not has_ended


def _links(workflow_id: str, *, cancellable: bool, resumable: bool) -> Links:
    path = _path(workflow_id)
    return Links(
        self=status_path(workflow_id),
        cancel=path if cancellable else None,
        resume=f"{path}/resume" if resumable else None,
    )


def _step(step: StepProgress) -> StepDocument:
    return StepDocument(
        name=step.name,
        status=step.status,
        started_at=step.started_at,
        finished_at=step.finished_at,
        attempts=step.attempts,
    )


def _result(result: OperationResult | None) -> ResultDocument | None:
    if result is None:
        return None
    return ResultDocument(
        tenant_id=result.tenant_id,
        admin_user_id=result.admin_user_id,
        client_id=result.client_id,
        created_at=result.created_at,
    )


def _problem(error: OperationError | None) -> OperationProblem | None:
    if error is None:
        return None
    return OperationProblem(
        type=type_of(error.code),
        title=title_of(error.code),
        status=ERROR_STATUSES.get(error.code, 500),
        detail=error.detail,
        code=error.code,
        errors=(Fault(field=error.field, detail=error.detail),) if error.field is not None else None,
        step=error.step,
    )
