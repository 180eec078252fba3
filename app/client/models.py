"""Models of the gateway's documents. Fields, statuses, steps and kinds of a newer gateway are kept unchanged."""

from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

COMPLETED = "completed"
CANCELLED = "cancelled"
FAILED = "failed"
NEEDS_ATTENTION = "needs_attention"
AWAITING_CONFIRMATION = "awaiting_confirmation"
WAITING = "waiting"
FINAL_STATUSES = frozenset({COMPLETED, CANCELLED, FAILED})
WAITING_FOR_PERSON = frozenset({NEEDS_ATTENTION, AWAITING_CONFIRMATION})
OPEN_STATUSES = WAITING_FOR_PERSON | {WAITING, "queued", "running", "retrying", "cancelling", "rolling_back"}

D = TypeVar("D", bound="Document")


class Document(BaseModel):
    """Base of all documents in responses."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True, hide_input_in_errors=True
    )

    def as_json(self) -> dict[str, Any]:
        """Return the document as the gateway sent it, unknown fields included."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Fault(Document):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class OperationProblem(Document):
    """Why an operation failed, is retrying, or waits for a person."""

    code: str
    detail: str
    title: str | None = None
    status: int | None = None
    errors: tuple[Fault, ...] | None = None
    step: str | None = None


class OperationWarning(Document):
    """What failed without stopping an operation, and what to do about it."""

    code: str
    detail: str
    step: str | None = None


class StepDocument(Document):
    """The state of one step."""

    name: str
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0


class TenantIds(Document):
    """The result of a creation, with the customer in the management tenant if there is one."""

    tenant_id: UUID
    admin_user_id: UUID
    client_id: UUID
    created_at: datetime | None = None
    customer_client_id: UUID | None = None
    customer_contact_id: UUID | None = None


class OperationSummary(Document):
    """An operation as shown in lists."""

    workflow_id: str
    status: str
    kind: str | None = None
    tenant_id: UUID | None = None
    tenant_name: str | None = None
    product_code: str | None = None
    step: str | None = None
    progress: int = 0
    error: OperationProblem | None = None
    warnings: tuple[OperationWarning, ...] = ()
    requested_by: str | None = None
    requested_via: str | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None
    started_at: datetime | None = None
    committed_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    next_try_at: datetime | None = None
    attention_deadline: datetime | None = None
    cancellable: bool = False
    source: str | None = None
    links: dict[str, str | None] = Field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether the operation has ended. An unknown status is final if the operation has an end."""
        return self.status in FINAL_STATUSES or (self.status not in OPEN_STATUSES and self.finished_at is not None)

    @property
    def is_settled(self) -> bool:
        """Whether the operation has ended or waits for a person or a date, so that waiting longer changes nothing."""
        return self.is_final or self.status == WAITING or self.status in WAITING_FOR_PERSON

    @property
    def duration(self) -> timedelta | None:
        """The time from the start to the end, or to the last known change; None before the start."""
        end = self.finished_at or self.updated_at
        return end - self.started_at if end is not None and self.started_at is not None else None


class Operation(OperationSummary):
    """An operation with all its details.

    Only the response to the request that made it has `temporary_password`. It can be reset, but not read again.
    """

    parameters: dict[str, Any] = Field(default_factory=dict)
    steps: tuple[StepDocument, ...] = ()
    result: dict[str, Any] | None = None
    temporary_password: str | None = Field(default=None, repr=False)

    @property
    def tenant_ids(self) -> TenantIds | None:
        """The result of a completed creation; None for other kinds and before the end."""
        is_created = self.kind == "tenant_creation" and self.result is not None
        return TenantIds.model_validate(self.result) if is_created else None


class Deletion(Document):
    """The newest deletion of a tenant. Its purge is scheduled once it is confirmed."""

    tenant_id: UUID
    tenant_name: str | None = None
    workflow_id: str
    reason: str | None = None
    trigger_source: str | None = None
    grace_period_days: int | None = None
    requested_at: datetime | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    confirmed_via: str | None = None
    needs_second_person: bool = False
    scheduled_for: datetime | None = None
    export_id: UUID | None = None
    undone_at: datetime | None = None
    deleted_at: datetime | None = None
    external: tuple[Any, ...] | None = None
    operation: Operation | None = None
    links: dict[str, str | None] = Field(default_factory=dict)


class Certificate(Document):
    """The proof of a deletion. `as_json` is the document that `alga-tenants certificate verify --file` reads."""

    # Values that would be written differently than the MAC covers them stay as they came.
    operation: dict[str, Any]
    tenant: dict[str, Any]
    requested_by: str | None = None
    confirmed_by: str | None = None
    rows_removed: dict[str, int] = Field(default_factory=dict)
    total_rows_removed: int
    rows_remaining: int
    mac: str


class Page(Document, Generic[D]):
    """One page of a list."""

    items: tuple[D, ...] = Field(
        validation_alias=AliasChoices(
            "operations", "tenants", "users", "exports", "webhooks", "deliveries", "keys", "events"
        )
    )
    next_page_token: str | None = None


class Health(Document):
    """Whether the gateway is ready for work, and the result of each of its checks."""

    ready: bool = False
    checks: dict[str, str] = Field(default_factory=dict)
    detail: str | None = None


class Problem(Document):
    """The problem document of a rejected request; all of it may be missing if a proxy rejected it."""

    code: str | None = None
    detail: str | None = None
    title: str | None = None
    errors: tuple[Fault, ...] | None = None
    request_id: str | None = None
