"""What the gateway answers. Fields and words that a newer gateway adds are kept and do no harm."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

COMPLETED = "completed"
CANCELLED = "cancelled"
FAILED = "failed"
NEEDS_ATTENTION = "needs_attention"
FINAL_STATUSES = frozenset({COMPLETED, CANCELLED, FAILED})


class Document(BaseModel):
    """Base of everything that is read from an answer."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True, hide_input_in_errors=True
    )

    def as_json(self) -> dict[str, Any]:
        """The document as the gateway gave it, unknown fields included."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Fault(Document):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class OperationProblem(Document):
    """Why an operation failed, is retrying, or can't finish cleaning up."""

    code: str
    detail: str
    title: str | None = None
    status: int | None = None
    errors: tuple[Fault, ...] | None = None
    step: str | None = None


class StepDocument(Document):
    """Where one step stands."""

    name: str
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0


class TenantIds(Document):
    """The ids of a completed tenant."""

    tenant_id: UUID
    admin_user_id: UUID
    client_id: UUID
    created_at: datetime | None = None


class Operation(Document):
    """What a line of the list and a status document have in common.

    `status` and `step` are plain strings: the gateway may be newer than this client.
    """

    workflow_id: str
    status: str
    tenant_id: UUID | None = None
    kind: str | None = None
    step: str | None = None
    progress: int = 0
    error: OperationProblem | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    links: dict[str, str | None] = Field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether the operation has ended and will never change again."""
        return self.status in FINAL_STATUSES

    @property
    def needs_attention(self) -> bool:
        """Whether the operation waits for a person."""
        return self.status == NEEDS_ATTENTION

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will happen of its own accord: it has ended, or waits for a person."""
        return self.is_final or self.needs_attention

    @property
    def duration(self) -> timedelta | None:
        """How long it took, or has been known to take so far; None before it began."""
        end = self.finished_at or self.updated_at
        return end - self.started_at if end is not None and self.started_at is not None else None


class StatusDocument(Operation):
    """Everything about one operation.

    `temporary_password` is only in the answer to the request that made it; whoever loses it has to reset it.
    """

    steps: tuple[StepDocument, ...] = ()
    result: TenantIds | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None
    next_try_at: datetime | None = None
    attention_deadline: datetime | None = None
    cancellable: bool = False
    source: str | None = None
    temporary_password: str | None = Field(default=None, repr=False)


class OperationSummary(Operation):
    """One line of the list."""

    tenant_name: str | None = None
    product_code: str | None = None


class OperationPage(Document):
    """A page of the list, newest first."""

    operations: tuple[OperationSummary, ...]
    next_page_token: str | None = None


class Health(Document):
    """Whether the gateway is ready for work, and what each of its checks found."""

    ready: bool
    checks: dict[str, str] = Field(default_factory=dict)
    detail: str | None = None
