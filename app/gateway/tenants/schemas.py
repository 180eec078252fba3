"""Bodies and documents of requests that change tenants."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from activities.tenants.request import RequestModel
from app.gateway.operations.schemas import GivenReason, StatusDocument, omitted_if_none


class CreatedDocument(StatusDocument):
    """The status document of a creation, with the generated password."""

    temporary_password: str | None = omitted_if_none(
        "The generated password of the administrator, only in the first response.", repr=False
    )


class WelcomeEmailBody(RequestModel):
    """To whom a welcome mail is sent."""

    user_id: UUID | None = Field(
        default=None, description="An administrator of the tenant; by default its first one."
    )


class SuspensionBody(RequestModel):
    """Why a tenant is suspended."""

    reason: Annotated[GivenReason, Field(examples=["unpaid for 60 days"])]
