"""Documents of operations."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from activities.tenants.request import RequestModel
from app.gateway.http.problems.problem import Document, Fault, title_of, type_of
from app.gateway.operations.problems import problem_kind_of
from workflows.operations.messages import OperationError
from workflows.operations.statuses import OperationStatus, StepStatus

MAX_REASON_LENGTH = 500
TEXT = re.compile(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")

# Documented as plain strings, because a newer release may add values.
Status = Annotated[OperationStatus, WithJsonSchema({"type": "string", "examples": list(OperationStatus)})]
StepState = Annotated[StepStatus, WithJsonSchema({"type": "string", "examples": list(StepStatus)})]


def omitted_if_none(description: str, **options: Any) -> Any:
    """Return an optional field that is omitted from JSON if it is None."""
    return Field(default=None, description=description, exclude_if=lambda value: value is None, **options)


def _reject_control_characters(value: str) -> str:
    if TEXT.search(value) is None:
        raise PydanticCustomError("control_characters", "must not hold control characters")
    return value


Reason = Annotated[
    str,
    Field(max_length=MAX_REASON_LENGTH, json_schema_extra={"pattern": TEXT.pattern}),
    AfterValidator(_reject_control_characters),
]


# Of a reason, each without control characters; the second one is not space.
_TEXT = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_VISIBLE = r"[^\x00-\x20\x7f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
VISIBLE_TEXT = re.compile(rf"^{_TEXT}*{_VISIBLE}{_TEXT}*$")


def _reject_blank(value: str) -> str:
    if VISIBLE_TEXT.search(value) is None:
        raise PydanticCustomError("blank", "must not be empty")
    return value


GivenReason = Annotated[
    Reason,
    AfterValidator(_reject_blank),
    Field(json_schema_extra={"minLength": 1, "pattern": VISIBLE_TEXT.pattern}),
]


class CancelBody(RequestModel):
    """Why an operation is cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "ordered by mistake"}]})

    reason: Reason | None = Field(default=None, examples=["ordered by mistake"])


class StepDocument(Document):
    """The state of one step. The steps of one transaction become visible together, when it commits."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    status: StepState
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="Attempts so far, the running one included.")


class WarningDocument(Document):
    """What failed without stopping an operation, and what to do about it."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    detail: str
    step: str | None = omitted_if_none("The step that failed.")
    field: str | None = omitted_if_none("The field of the request that the warning is about.")


class OperationProblem(Document):
    """Why an operation failed, is retrying, or waits for an operator."""

    type: str = Field(examples=["/problems/duplicate-email"])
    title: str
    status: int = Field(description="The HTTP status that the request would have got if the error had been known.")
    detail: str
    code: str = Field(examples=["duplicate-email"])
    errors: tuple[Fault, ...] | None = omitted_if_none("The invalid field of the request.")
    step: str | None = omitted_if_none("The step that failed.")

    @classmethod
    def of(cls, error: OperationError) -> Self:
        """Return the problem of an operation's error."""
        return cls(
            type=type_of(error.code),
            title=title_of(error.code),
            status=problem_kind_of(error.code).status,
            detail=error.detail,
            code=error.code,
            errors=(Fault(field=error.field, detail=error.detail),) if error.field is not None else None,
            step=error.step,
        )


class Links(Document):
    """Paths of the operation and of what can be done with it."""

    self: str = Field(description="The operation.")
    events: str = Field(description="Server-sent events with the status document, one after each change.")
    cancel: str | None = omitted_if_none("For DELETE; present while the operation can be cancelled.")
    resume: str | None = omitted_if_none("For POST; present while the operation waits for an operator.")
    tenant: str | None = omitted_if_none("The tenant, once it exists.")


class OperationSummary(Document):
    """An operation in a list, as its last transaction or maintenance recorded it."""

    workflow_id: str
    kind: str = Field(examples=["tenant_creation"])
    tenant_id: UUID | None = Field(description="Null until the workflow has chosen an id, if the request had none.")
    tenant_name: str | None
    product_code: str | None
    status: Status
    step: str | None = Field(description="The running step, or the last one.")
    progress: int = Field(ge=0, le=100, description="Percent.")
    error: OperationProblem | None
    warnings: tuple[WarningDocument, ...]
    requested_by: str | None = Field(
        description="`key:<id>` of an API key, `oidc:<subject>` of a token, or a person whom a trusted caller named."
    )
    requested_via: str | None = Field(description="The key or token of the request.")
    started_at: datetime | None
    committed_at: datetime | None = Field(
        description="The point of no return: the operation can't be cancelled any more."
    )
    updated_at: datetime | None
    finished_at: datetime | None
    next_try_at: datetime | None = Field(
        description="When the failed step is retried, or when an operation that is `waiting` continues: for a "
        "deletion, when its purge begins."
    )
    attention_deadline: datetime | None = Field(
        description="For `needs_attention`, when the operation fails if no operator acts; null if it waits without "
        "limit. For `awaiting_confirmation`, until when it can be confirmed before it needs attention."
    )
    links: Links

    @property
    def has_ended(self) -> bool:
        """Whether the operation will never change again."""
        return not self.status.is_open or self.finished_at is not None


class StatusDocument(OperationSummary):
    """An operation with all its details."""

    parameters: dict[str, Any] = Field(description="Those without personal data.", examples=[{"licenseCount": 25}])
    steps: tuple[StepDocument, ...]
    result: dict[str, Any] | None = Field(
        description="For a creation `tenantId`, `adminUserId`, `clientId` and `createdAt`, and `customerClientId`, "
        "`customerContactId` and `customerTracking` once the tenant is a customer in the management tenant."
    )
    cancelled_by: str | None
    cancelled_via: str | None
    cancel_reason: str | None
    cancellable: bool
    source: Literal["temporal", "database"] = Field(
        description="`database` if Temporal is unavailable or no longer has the workflow."
    )


class OperationCounts(Document):
    """How many operations there are."""

    total: int = Field(description="All that match the filters.")
    by_status: dict[str, int] = Field(
        description="The number of each status, also if it is 0; of the filter's statuses if it has some.",
        examples=[{"completed": 118, "failed": 2, "needs_attention": 0}],
    )


class OperationList(Document):
    """A page of operations, newest first."""

    operations: tuple[OperationSummary, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")
