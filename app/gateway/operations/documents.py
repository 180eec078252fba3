"""Turns what Temporal and the `operations` table say about an operation into the documents that callers get."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from activities.operations.records import OperationRecord
from app.gateway.http.problems.problem import Fault, title_of, type_of
from app.gateway.operations.problems import OperationKindUnknownError, problem_kind_of
from app.gateway.operations.responses import EncodedDocument
from app.gateway.operations.schemas import (
    Links,
    OperationProblem,
    OperationSummary,
    StatusDocument,
    StepDocument,
    WarningDocument,
)
from app.temporal.described import DescribedOperation
from workflows.operations.kinds import KINDS, OperationKind
from workflows.operations.messages import (
    OperationError,
    OperationSnapshot,
    OperationStatus,
    OperationWarning,
    StepProgress,
)


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

    @property
    def kind(self) -> OperationKind:
        """The kind of the operation; raises `ProblemError` if this release does not know it."""
        kind = KINDS.find(self.snapshot.kind)
        if kind is None:
            raise OperationKindUnknownError(self.snapshot.kind)
        return kind

    @cached_property
    def document(self) -> StatusDocument:
        """The status document, made once for all who follow the operation."""
        return status_document(self)

    @cached_property
    def encoded(self) -> EncodedDocument:
        """The status document as it is sent."""
        return EncodedDocument.of(self.document)

    @property
    def is_cancellable(self) -> bool:
        """Whether a cancel would change anything."""
        return self.is_open and _can_stop(self.snapshot)

    @property
    def is_parked(self) -> bool:
        """Whether it waits for an operator, and would go on."""
        return self.is_open and _is_parked(self.snapshot)


def status_document(view: OperationView) -> StatusDocument:
    """The operation's status document."""
    return StatusDocument(**_status_fields(view))


def summary(record: OperationRecord) -> OperationSummary:
    """Return the operation's line in the list."""
    snapshot = record.snapshot
    is_cancellable, is_parked = _can_stop(snapshot), _is_parked(snapshot)
    links = _links(record.workflow_id, snapshot, cancellable=is_cancellable, resumable=is_parked)
    return OperationSummary(**_common_fields(record.workflow_id, snapshot), links=links)


def operation_path(workflow_id: str) -> str:
    """Return the path of an operation."""
    return f"/operations/{quote(workflow_id, safe='')}"


def _status_fields(view: OperationView) -> dict[str, Any]:
    snapshot = view.snapshot
    is_cancellable = view.is_cancellable
    return {
        **_common_fields(view.workflow_id, snapshot),
        "parameters": snapshot.parameters,
        "steps": tuple(_step(step) for step in snapshot.steps),
        "result": snapshot.result,
        "cancelled_by": snapshot.cancelled_by,
        "cancelled_via": snapshot.cancelled_via,
        "cancel_reason": snapshot.cancel_reason,
        "cancellable": is_cancellable,
        "source": "temporal" if view.described is not None else "database",
        "links": _links(view.workflow_id, snapshot, cancellable=is_cancellable, resumable=view.is_parked),
    }


def _common_fields(workflow_id: str, snapshot: OperationSnapshot) -> dict[str, Any]:
    return {
        "workflow_id": workflow_id,
        "kind": snapshot.kind,
        "tenant_id": snapshot.tenant_id,
        "tenant_name": snapshot.tenant_name,
        "product_code": snapshot.product_code,
        "status": snapshot.status,
        "step": snapshot.step,
        "progress": snapshot.progress,
        "error": _problem(snapshot.error),
        "warnings": tuple(_warning(warning) for warning in snapshot.warnings),
        "requested_by": snapshot.requested_by,
        "requested_via": snapshot.requested_via,
        "started_at": snapshot.started_at,
        "committed_at": snapshot.committed_at,
        "updated_at": snapshot.updated_at,
        "finished_at": snapshot.finished_at,
        "next_try_at": snapshot.next_try_at,
        "attention_deadline": snapshot.attention_deadline,
    }


def _can_stop(snapshot: OperationSnapshot) -> bool:
    if KINDS.find(snapshot.kind) is None:
        return False
    return not snapshot.has_ended and snapshot.committed_at is None and not snapshot.status.is_stopping


def _is_parked(snapshot: OperationSnapshot) -> bool:
    return snapshot.status is OperationStatus.NEEDS_ATTENTION and KINDS.find(snapshot.kind) is not None


def _links(workflow_id: str, snapshot: OperationSnapshot, *, cancellable: bool, resumable: bool) -> Links:
    path = operation_path(workflow_id)
    has_tenant = snapshot.committed_at is not None and snapshot.tenant_id is not None
    return Links(
        self=path,
        events=f"{path}/events",
        cancel=path if cancellable else None,
        resume=f"{path}/resume" if resumable else None,
        tenant=f"/tenants/{snapshot.tenant_id}" if has_tenant else None,
    )


def _warning(warning: OperationWarning) -> WarningDocument:
    return WarningDocument(code=warning.code, detail=warning.detail, step=warning.step)


def _step(step: StepProgress) -> StepDocument:
    return StepDocument(
        name=step.name,
        status=step.status,
        started_at=step.started_at,
        finished_at=step.finished_at,
        attempts=step.attempts,
    )


def _problem(error: OperationError | None) -> OperationProblem | None:
    if error is None:
        return None
    return OperationProblem(
        type=type_of(error.code),
        title=title_of(error.code),
        status=problem_kind_of(error.code).status,
        detail=error.detail,
        code=error.code,
        errors=(Fault(field=error.field, detail=error.detail),) if error.field is not None else None,
        step=error.step,
    )
