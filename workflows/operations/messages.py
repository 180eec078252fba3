"""The messages of operations of every kind: workflow arguments, signals, activity messages and the memo.

JSON keys are camelCase and unknown keys are ignored, so that a worker can read what a newer or older release wrote.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.operations.texts import MAX_NAME_LENGTH, MAX_SENTENCE_LENGTH, storable, storable_document

OPERATION_MEMO = "operation"
# The caller recorded for a client of Temporal, which we can't authenticate.
UNKNOWN_CALLER = "temporal"

# Texts that any client of Temporal may send, and that are stored as they are shown.
ShownName = Annotated[str, AfterValidator(lambda text: storable(text, MAX_NAME_LENGTH))]
ShownSentence = Annotated[str, AfterValidator(lambda text: storable(text, MAX_SENTENCE_LENGTH))]


class Message(BaseModel):
    """Base of everything that is serialised into a workflow history."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
        # A client of Temporal may send a plaintext password, which a validation error would repeat.
        hide_input_in_errors=True,
    )


class Origin(Message):
    """The caller of the gateway that requested an operation; empty if a client of Temporal started the workflow.

    `requested_via` is the credential of the request; `requested_by` is the same, or the person named by a trusted
    caller. `requested_at` is the gateway's time, shown as the start of the operation. `start_id` identifies one
    attempt to start the workflow, so that exactly this one can be revoked.
    """

    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    request_id: str | None = None
    address: str | None = None
    requested_at: datetime | None = None
    start_id: str | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether the gateway has validated the request; a client of Temporal has sent any other."""
        return self.requested_by is not None

    @property
    def shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show the caller."""
        return {
            "requested_by": self.requested_by,
            "requested_via": self.requested_via,
            "request_fingerprint": self.request_fingerprint,
        }


class OwnMessage(Message):
    """Base of the messages in which an origin shows that our own processes wrote them.

    They are encrypted for every workflow, also for those whose other messages clients of Temporal read.
    """

    origin: Origin = Origin()


class OperationRequest(OwnMessage):
    """Base of the arguments of workflows that are operations."""

    tenant_id: UUID | None = None

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested, without secrets."""
        parameters = self.model_dump(mode="json", exclude={"tenant_id", "origin"}, exclude_defaults=True)
        return {"parameters": storable_document(parameters)}

    @property
    def shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show the request and its caller."""
        return {"tenant_id": self.tenant_id, **self.origin.shown, **self.parameters_shown}


class Cancellation(Message):
    """Argument of the `cancel` signal: who wants an operation to stop, and why.

    `via` is the credential of the request. `claimed_by` is the unverified name that a client of Temporal gives.
    """

    by: ShownName | None = Field(default=None, validation_alias="cancelledBy", serialization_alias="cancelledBy")
    via: ShownName | None = Field(default=None, validation_alias="cancelledVia", serialization_alias="cancelledVia")
    reason: ShownSentence | None = None
    claimed_by: ShownName | None = None

    @property
    def shown(self) -> dict[str, str | None]:
        """The fields of a snapshot that show the cancellation."""
        reason = self.reason
        if self.claimed_by is not None:
            reason = f"{reason or 'no reason given'} (said to be by {self.claimed_by})"
        return {"cancelled_by": self.by or UNKNOWN_CALLER, "cancelled_via": self.via, "cancel_reason": reason}


NOT_CANCELLED = dict.fromkeys(Cancellation().shown)


class ResumeRequest(Message):
    """Argument of the `resume` signal."""

    resumed_by: ShownName | None = None


class ParameterChanges(Message):
    """Argument of the `change_parameters` update: the new values by their names on the wire."""

    changes: dict[str, Any]
    origin: Origin = Origin()


class ParameterUpdate(Message):
    """Argument of the `update` signal."""

    field: ShownName
    value: Any = None


class HealthCheckResult(Message):
    """Result of `healthCheckWorkflow`."""

    status: str
    timestamp: datetime


class OperationError(Message):
    """Why an operation failed, is retrying, or needs attention."""

    code: ShownName
    detail: ShownSentence
    field: ShownName | None = None
    step: str | None = None


class OperationWarning(Message):
    """What an operation left undone, and what to do about it; `field` is the part of the request that it is about."""

    code: str
    detail: str
    step: str | None = None
    field: str | None = None


class FailureDetails(Message):
    """The details of an activity's error.

    `cancel` is set if the operation is being cancelled, `parameters_version` if the attempt missed a change of
    parameters.
    """

    field: str | None = None
    step: str | None = None
    cancel: Cancellation | None = None
    parameters_version: int | None = None


class StepProgress(Message):
    """One entry of `steps` in the status document."""

    name: str
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in {StepStatus.COMPLETED, StepStatus.SKIPPED}


class FailurePolicy(Message):
    """How long passing errors are retried, and how long a parked operation then waits for an operator."""

    step_retry_window: timedelta
    attention_timeout: timedelta


class OperationSnapshot(Message):
    """The content of the status document, kept in the workflow's memo under `OPERATION_MEMO`.

    `committed_at` is the point of no return. `next_try_at` is set while a step waits for its next attempt or for a
    date, `attention_deadline` while a person has to act or to confirm within a limited time.
    """

    kind: str
    status: OperationStatus = OperationStatus.QUEUED
    tenant_id: UUID | None = None
    tenant_name: str | None = None
    product_code: str | None = None
    parameters: dict[str, Any] = {}
    step: str | None = None
    progress: int = 0
    steps: tuple[StepProgress, ...] = ()
    error: OperationError | None = None
    warnings: tuple[OperationWarning, ...] = ()
    result: dict[str, Any] | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None
    started_at: datetime | None = None
    committed_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    next_try_at: datetime | None = None
    attention_deadline: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the operation will never change again; an unknown status of a newer release may be final."""
        return not self.status.is_open or self.finished_at is not None

    @property
    def is_cancellable(self) -> bool:
        """Whether a cancel would still stop the operation."""
        return not self.has_ended and self.committed_at is None

    def has_completed(self, step: str) -> bool:
        """Return whether the step of that name is done, and not skipped."""
        return any(line.name == step and line.status is StepStatus.COMPLETED for line in self.steps)

    def at_work(self, **changes: Any) -> "OperationSnapshot":
        """Return the changed snapshot of an operation that no longer waits, unless the changes say so."""
        return self.model_copy(update={"next_try_at": None, "attention_deadline": None, **changes})

    def completed(self, now: datetime, warnings: Sequence[OperationWarning] = ()) -> "OperationSnapshot":
        """Return the snapshot of the completed operation."""
        *before, last = self.steps
        if last.status is not StepStatus.COMPLETED:
            last = last.model_copy(update={"status": StepStatus.COMPLETED, "finished_at": now})
        return self.at_work(
            status=OperationStatus.COMPLETED,
            step=last.name,
            steps=(*before, last),
            progress=100,
            error=None,
            warnings=(*self.warnings, *warnings),
            finished_at=now,
        )


class OperationContext(Message):
    """The operation that an activity works for, and what its row is to show.

    `parameters_version` counts the changes of parameters that are part of the request.
    """

    workflow_id: str
    run_id: str
    namespace: str | None = None
    parameters_version: int = 0
    origin: Origin = Origin()
    snapshot: OperationSnapshot

    @property
    def tenant_id(self) -> UUID:
        """The tenant that the operation works on; raises `ValueError` if it has none."""
        if self.snapshot.tenant_id is None:
            raise ValueError("the operation has no tenant")
        return self.snapshot.tenant_id

    def showing(self, snapshot: OperationSnapshot) -> "OperationContext":
        """Return the context with another snapshot."""
        return self.model_copy(update={"snapshot": snapshot})


class OperationInput(Message):
    """Base of the arguments of activities that work for an operation."""

    operation: OperationContext


class ClosingInput(OperationInput):
    """Argument of the activity that closes or undoes an operation; `cancellation` is what ended it, if that did."""

    cancellation: Cancellation | None = None


class Committed(Message):
    """What the transaction of an operation has committed.

    Of the steps that follow, the configured ones are pending and the others skipped. `warnings` are those that
    came with it, or all of a commit that was read again.
    """

    committed_at: datetime
    steps: tuple[StepProgress, ...]
    result: dict[str, Any]
    warnings: tuple[OperationWarning, ...] = ()


class FollowUpInput(OperationInput):
    """Argument of the activity of a step after the commit; the snapshot shows what was committed."""

    request: dict[str, Any]


class ParameterChangeInput(OperationInput):
    """Argument of the activity that accepts changed parameters.

    The snapshot shows the changed parameters, `changed` are their names, `digest` identifies the change.
    """

    changed: tuple[str, ...] = ()
    digest: str
    origin: Origin = Origin()


class StepDone(Message):
    """Result of an activity; a step after the commit may add to the operation's result and warn."""

    result: dict[str, Any] = {}
    warnings: tuple[OperationWarning, ...] = ()


class Closure(Message):
    """Result of closing an operation.

    `committed` is set if a commit came first, so that the operation stays open. `ended` is the snapshot in the row if
    the operation was closed before.
    """

    committed: Committed | None = None
    ended: OperationSnapshot | None = None
