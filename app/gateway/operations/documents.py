"""Operations as the gateway knows them, and their documents."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote

from activities.operations.queries import OperationRecord
from app.gateway.operations.problems import OperationKindUnknownError
from app.gateway.operations.responses import EncodedDocument
from app.gateway.operations.schemas import Links, OperationProblem, OperationSummary, StatusDocument
from app.temporal.descriptions import TemporalOperation
from app.temporal.errors import TemporalUnavailableError
from workflows.operations.kinds import KINDS, OperationKind
from workflows.operations.messages import OperationSnapshot
from workflows.operations.statuses import OperationStatus


@dataclass(frozen=True)
class OperationView:
    """An operation as Temporal describes it, or else as its row has it.

    `is_open` is False once its workflow has ended, or is no longer known to Temporal.
    """

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot
    is_open: bool
    described: TemporalOperation | None = None

    @classmethod
    def of_temporal(cls, operation: TemporalOperation) -> Self:
        """Return the view of an operation that Temporal has described."""
        # The snapshot shows the end a moment before Temporal closes the workflow.
        is_open = operation.is_open and not operation.snapshot.has_ended
        return cls(operation.workflow_id, operation.run_id, operation.snapshot, is_open, described=operation)

    @property
    def kind(self) -> OperationKind:
        """The kind of the operation; raises `OperationKindUnknownError` if this release does not know it."""
        kind = KINDS.get(self.snapshot.kind)
        if kind is None:
            raise OperationKindUnknownError(self.snapshot.kind)
        return kind

    @property
    def in_temporal(self) -> TemporalOperation:
        """The operation in Temporal; raises `TemporalUnavailableError` if only its row could be read."""
        if self.described is None:
            raise TemporalUnavailableError("only the row of the operation could be read")
        return self.described

    @property
    def is_permanent(self) -> bool:
        """Whether the operation has completed, and no other one can have its workflow id."""
        has_own_id = self.described is not None and self.described.has_own_id
        return has_own_id and self.snapshot.status is OperationStatus.COMPLETED

    @cached_property
    def document(self) -> StatusDocument:
        """The status document."""
        source = "temporal" if self.described is not None else "database"
        fields = _fields(self.workflow_id, self.snapshot, is_open=self.is_open)
        return StatusDocument.model_validate({**fields, "source": source})

    @cached_property
    def encoded(self) -> EncodedDocument:
        """The status document as it is sent."""
        return EncodedDocument.of(self.document)


def summary(record: OperationRecord) -> OperationSummary:
    """Return the operation's entry in a list."""
    return OperationSummary.model_validate(_fields(record.workflow_id, record.snapshot, is_open=True))


def _fields(workflow_id: str, snapshot: OperationSnapshot, *, is_open: bool) -> dict[str, Any]:
    links = _links(workflow_id, snapshot, is_open=is_open)
    return {
        **vars(snapshot),
        "workflow_id": workflow_id,
        "error": OperationProblem.of(snapshot.error) if snapshot.error is not None else None,
        "cancellable": links.cancel is not None,
        "links": links,
    }


def _links(workflow_id: str, snapshot: OperationSnapshot, *, is_open: bool) -> Links:
    path = f"/operations/{quote(workflow_id, safe='')}"
    can_change = is_open and KINDS.get(snapshot.kind) is not None
    is_cancellable = can_change and snapshot.is_cancellable and not snapshot.status.is_stopping
    has_tenant = snapshot.committed_at is not None and snapshot.tenant_id is not None
    return Links(
        self=path,
        events=f"{path}/events",
        cancel=path if is_cancellable else None,
        resume=f"{path}/resume" if can_change and snapshot.status.is_parked else None,
        tenant=f"/tenants/{snapshot.tenant_id}" if has_tenant else None,
    )
