"""What the page of an operation shows of it, and what its caller can do with it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from app.auth.callers import Caller
from app.gateway.console.operations.facts import Fact, facts
from app.gateway.operations.documents import OperationView
from app.gateway.operations.schemas import StatusDocument, StepDocument
from workflows.operations.kinds import KINDS, OperationKind
from workflows.operations.statuses import StepStatus

# Of pending steps of an operation that has ended without its commit.
UNDONE, NOT_DONE = "undone", "not_done"


@dataclass(frozen=True)
class ShownStep:
    """A line of the timeline."""

    name: str
    status: str
    started_at: datetime | None
    took: timedelta | None
    attempts: int


@dataclass(frozen=True)
class ShownOperation:
    """An operation as a caller sees it. `kind` is None if this release does not know it."""

    view: OperationView
    caller: Caller

    @property
    def document(self) -> StatusDocument:
        """The status document."""
        return self.view.document

    @property
    def kind(self) -> OperationKind | None:
        """The kind of the operation."""
        return KINDS.get(self.view.snapshot.kind)

    @property
    def can_resume(self) -> bool:
        """Whether the caller can start the next attempt at once."""
        return self._is_manageable and self.document.status.is_resumable

    @property
    def can_cancel(self) -> bool:
        """Whether the caller can cancel the operation."""
        kind = self.kind
        return kind is not None and kind.cancel_scope in self.caller.scopes and self.document.cancellable

    @property
    def can_change(self) -> bool:
        """Whether the caller can change parameters."""
        kind, document = self.kind, self.document
        is_open = document.committed_at is None and not document.status.is_stopping
        return self._is_manageable and kind is not None and bool(kind.parameters) and is_open

    @property
    def can_repeat(self) -> bool:
        """Whether the caller can create the tenant again, after a creation that has failed or was cancelled."""
        document = self.document
        return document.kind == "tenant_creation" and document.status.is_unsuccessful

    @property
    def steps(self) -> tuple[ShownStep, ...]:
        """The timeline."""
        return tuple(
            ShownStep(
                name=step.name,
                status=self._status_of(step),
                started_at=step.started_at,
                took=step.finished_at - step.started_at if step.started_at and step.finished_at else None,
                attempts=step.attempts,
            )
            for step in self.document.steps
        )

    @property
    def parameters(self) -> tuple[Fact, ...]:
        """What was asked for."""
        return facts(self.document.parameters)

    @property
    def result(self) -> tuple[Fact, ...]:
        """What has come of it."""
        return facts(self.document.result or {})

    @property
    def took(self) -> timedelta | None:
        """The time from the start to the end."""
        document = self.document
        return document.finished_at - document.started_at if document.finished_at and document.started_at else None

    @property
    def _is_manageable(self) -> bool:
        kind = self.kind
        return kind is not None and kind.manage_scope in self.caller.scopes and not self.document.has_ended

    def _status_of(self, step: StepDocument) -> str:
        status = self.document.status
        if status.is_parked and step.status is StepStatus.RETRYING:
            return status
        if not (status.is_unsuccessful and step.status is StepStatus.PENDING):
            return step.status
        return UNDONE if step.started_at is not None else NOT_DONE


def context_of(operation: OperationView, caller: Caller) -> dict[str, Any]:
    """Return what the templates of an operation need."""
    return {"operation": operation.document, "shown": ShownOperation(operation, caller)}
