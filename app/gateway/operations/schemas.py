"""The documents that the gateway answers besides problems; contract and OpenAPI are made of these."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from activities.tenants.request import RequestModel
from app.gateway.http.problems.problem import Document, Fault
from workflows.operations.messages import OperationStatus, StepStatus

LONGEST_REASON = 500
TEXT = re.compile(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")

Source = Literal["temporal", "database"]

# Enums are open: a newer release may know more, so that what a document says is any text.
Status = Annotated[
    OperationStatus, WithJsonSchema({"type": "string", "examples": [str(status) for status in OperationStatus]})
]
StepState = Annotated[
    StepStatus, WithJsonSchema({"type": "string", "examples": [str(status) for status in StepStatus]})
]


def _absent(value: Any) -> bool:
    return value is None


def _text(value: str) -> str:
    if TEXT.search(value) is None:
        raise PydanticCustomError("control_characters", "must not hold control characters")
    return value


Reason = Annotated[
    str,
    Field(max_length=LONGEST_REASON, json_schema_extra={"pattern": TEXT.pattern}),
    AfterValidator(_text),
]


class CancelBody(RequestModel):
    """Why an operation is cancelled."""

    reason: Reason | None = Field(default=None, examples=["ordered by mistake"])


class StepDocument(Document):
    """Where one step stands; those of one transaction become visible together, when it commits."""

    name: str
    status: StepState
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="Attempts so far, the running one included.")


class WarningDocument(Document):
    """What a completed operation could not do, and what to do about it."""

    code: str
    detail: str
    step: str | None = Field(default=None, description="The step that failed.", exclude_if=_absent)


class OperationProblem(Document):
    """Why an operation failed, is retrying, or needs attention."""

    type: str = Field(examples=["/problems/duplicate-email"])
    title: str
    status: int = Field(description="The HTTP status that fits, as if the fault had been known at once.")
    detail: str
    code: str = Field(examples=["duplicate-email"])
    errors: tuple[Fault, ...] | None = Field(
        default=None, description="The field of the request that is at fault.", exclude_if=_absent
    )
    step: str | None = Field(default=None, description="The step that met the problem.", exclude_if=_absent)


class Links(Document):
    """Where to go from here."""

    self: str = Field(description="The operation.")
    events: str = Field(description="The same as server-sent events, whenever it changes.")
    cancel: str | None = Field(
        default=None, description="Takes a DELETE; present while that is of use.", exclude_if=_absent
    )
    resume: str | None = Field(
        default=None,
        description="Takes a POST; present while the operation waits for an operator.",
        exclude_if=_absent,
    )
    tenant: str | None = Field(default=None, description="The tenant, once it exists.", exclude_if=_absent)


class OperationSummary(Document):
    """What lists show of an operation, as its last transaction or maintenance left it."""

    workflow_id: str
    kind: str = Field(examples=["tenant_creation"])
    tenant_id: UUID | None = Field(description="Null until a workflow that came without one has made it.")
    tenant_name: str | None
    product_code: str | None
    status: Status
    step: str | None = Field(description="The step at work, or the last one.")
    progress: int = Field(ge=0, le=100, description="Percent done.")
    error: OperationProblem | None
    warnings: tuple[WarningDocument, ...]
    requested_by: str | None = Field(
        description="Who asked for it: `key:<id>` for an API key, `oidc:<subject>` for a token, or the person whom a "
        "trusted caller named."
    )
    requested_via: str | None = Field(description="The key or token that the request came with.")
    started_at: datetime | None
    committed_at: datetime | None = Field(description="The point of no return: from then on it can't be cancelled.")
    updated_at: datetime | None
    finished_at: datetime | None
    next_try_at: datetime | None = Field(description="When the step that has failed is tried again.")
    attention_deadline: datetime | None = Field(
        description="Until when the operation waits for an operator before it fails."
    )
    links: Links

    @property
    def has_ended(self) -> bool:
        """Whether it will never change again."""
        return self.status.is_final or self.finished_at is not None


class StatusDocument(OperationSummary):
    """Everything about one operation."""

    parameters: dict[str, Any] = Field(
        description="What was asked for, without what concerns persons.", examples=[{"licenseCount": 25}]
    )
    steps: tuple[StepDocument, ...]
    result: dict[str, Any] | None = Field(
        description="What was made; of a creation `tenantId`, `adminUserId`, `clientId` and `createdAt`."
    )
    cancelled_by: str | None
    cancelled_via: str | None
    cancel_reason: str | None
    cancellable: bool
    source: Source = Field(
        description="`database`: as the row has it, because Temporal is unavailable or has forgotten the workflow."
    )


class OperationList(Document):
    """A page of operations, newest first."""

    operations: tuple[OperationSummary, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")
