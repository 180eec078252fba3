"""Bodies and documents of requests that change tenants."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from activities.tenants.request import RequestModel
from app.gateway.http.problems.problem import Document
from app.gateway.operations.schemas import GivenReason, StatusDocument, WarningDocument, omitted_if_none


class CreatedDocument(StatusDocument):
    """The status document of a creation, with the generated password."""

    temporary_password: str | None = omitted_if_none(
        "The generated password of the administrator, only in the first response.", repr=False
    )


class WelcomeEmailBody(RequestModel):
    """To whom a welcome mail is sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    user_id: UUID | None = Field(
        default=None, description="An administrator of the tenant; by default its first one."
    )


class SuspensionBody(RequestModel):
    """Why a tenant is suspended."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "unpaid for 60 days"}]})

    reason: Annotated[GivenReason, Field(examples=["unpaid for 60 days"])]


class SuspensionRecordDocument(Document):
    """Why, when and for whom a tenant was suspended."""

    model_config = ConfigDict(from_attributes=True)

    workflow_id: str
    reason: str | None
    requested_by: str | None
    suspended_at: datetime


class SuspensionPreview(Document):
    """What a suspension would change, or what a reactivation would put back. Nothing has been changed."""

    tenant_id: UUID
    name: str
    is_suspended: bool
    is_by_alga: bool = Field(description="Whether Alga itself has suspended the tenant.")
    record: SuspensionRecordDocument | None
    rows: dict[str, int] = Field(description="The rows to change or to put back, by table.")
    staff: int = Field(description="Active internal users.")
    left_out: tuple[WarningDocument, ...] = Field(description="What this version of Alga has no columns for.")
    refusals: tuple[str, ...] = Field(description="All reasons known here why it can't be done.")


class RecipientDocument(Document):
    """An administrator who can get a welcome mail."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str = Field(repr=False)
    first_name: str | None = Field(repr=False)
    last_name: str | None = Field(repr=False)


class WelcomeEmailPreview(Document):
    """Who would get a welcome mail. Nothing has been sent."""

    tenant_id: UUID
    name: str
    recipients: tuple[RecipientDocument, ...] = Field(description="The default one first.")
    max_mails: int = Field(description="How many mails the tenant may get in the window.")
    window: timedelta
    wait: timedelta | None = Field(description="How long the tenant has to wait for the next mail.")
    refusals: tuple[str, ...] = Field(description="All reasons known here why no mail can be sent.")
