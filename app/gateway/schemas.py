"""The documents that the gateway answers besides problems; contract and OpenAPI are made of these."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from activities.tenant_request import RequestModel
from app.gateway.problems import Document, Fault
from workflows.messages import OperationStatus, StepStatus
from workflows.steps import Step

LONGEST_REASON = 500
TEXT = re.compile(r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")

Source = Literal["temporal", "database"]


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
    """Where one step stands."""

    name: Step
    status: StepStatus
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int = Field(description="Tries so far, the running one included.")


class OperationProblem(Document):
    """Why an operation failed, is retrying, or can't finish cleaning up."""

    type: str = Field(examples=["/problems/duplicate-email"])
    title: str
    status: int = Field(description="The HTTP status that fits, as if the fault had been known at once.")
    detail: str
    code: str = Field(examples=["duplicate-email"])
    errors: tuple[Fault, ...] | None = Field(
        default=None, description="The field of the request that is at fault.", exclude_if=_absent
    )
    step: Step | None = Field(default=None, description="The step that met the problem.", exclude_if=_absent)


class ResultDocument(Document):
    """The ids of a completed tenant."""

    tenant_id: UUID
    admin_user_id: UUID
    client_id: UUID
    created_at: datetime


class Links(Document):
    """Where to go from here."""

    self: str = Field(description="The status document.")
    cancel: str | None = Field(
        default=None, description="Takes a DELETE; present while that is of use.", exclude_if=_absent
    )
    resume: str | None = Field(
        default=None,
        description="Takes a POST; present while the operation waits for an operator.",
        exclude_if=_absent,
    )


class StatusDocument(Document):
    """Everything about one operation."""

    workflow_id: str
    tenant_id: UUID | None = Field(description="Null until a workflow that came without one has made it.")
    kind: str
    status: OperationStatus
    step: Step | None = Field(description="The step at work, or the last one.")
    progress: int = Field(ge=0, le=100, description="Percent done.")
    steps: tuple[StepDocument, ...]
    error: OperationProblem | None
    result: ResultDocument | None
    requested_by: str | None = Field(
        description="Who asked for it: `key:<id>` for an API key, `oidc:<subject>` for a token, or the person whom a "
        "trusted caller named."
    )
    requested_via: str | None = Field(description="The key or token that the request came with.")
    cancelled_by: str | None
    cancelled_via: str | None
    cancel_reason: str | None
    started_at: datetime | None
    updated_at: datetime | None
    finished_at: datetime | None
    next_try_at: datetime | None = Field(description="When the step or rollback that has failed is tried again.")
    attention_deadline: datetime | None = Field(
        description="Until when the operation waits for an operator; null where it waits for ever."
    )
    cancellable: bool
    source: Source = Field(
        description="`database`: as the last finished step left it, because Temporal is away or has forgotten it."
    )
    links: Links


class CreatedDocument(StatusDocument):
    """The status document with the password that was made."""

    temporary_password: str | None = Field(
        default=None,
        repr=False,
        description="The administrator's password; only where none was given, and only in the first answer.",
        exclude_if=_absent,
    )


class OperationSummary(Document):
    """One line of the list, as the last finished step left it."""

    workflow_id: str
    tenant_id: UUID | None
    tenant_name: str
    product_code: str
    kind: str
    status: OperationStatus
    step: Step | None
    progress: int = Field(ge=0, le=100)
    error: OperationProblem | None
    requested_by: str | None
    requested_via: str | None
    started_at: datetime | None
    updated_at: datetime | None
    finished_at: datetime | None
    links: Links


class OperationList(Document):
    """A page of operations, newest first."""

    operations: tuple[OperationSummary, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")
