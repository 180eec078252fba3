"""Documents of deletions."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field

from activities.certificates.certificate import Certificate
from activities.tenants.request import RequestModel, whole_number
from app.gateway.http.problems.problem import Document
from app.gateway.operations.schemas import GivenReason, Reason, StatusDocument

MAX_GRACE_PERIOD_DAYS = 365
GRACE_PERIOD_DAYS = 30


class DeletionBody(RequestModel):
    """A request to delete a tenant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "contract ended", "gracePeriodDays": 30}]})

    reason: Annotated[GivenReason, Field(examples=["contract ended"])]
    grace_period_days: Annotated[
        int, Field(ge=0, le=MAX_GRACE_PERIOD_DAYS, strict=True), BeforeValidator(whole_number)
    ] = Field(
        default=GRACE_PERIOD_DAYS,
        description="Days from the confirmation to the purge, in which the deletion can be undone; 0 for none.",
    )
    export: bool = Field(
        default=True,
        description="Whether the tenant is exported before; a failed export stops the deletion.",
        strict=True,
    )
    confirm: bool = Field(
        default=False,
        description="Confirm the deletion at once; needs the scope `tenants:confirm-deletion` as well.",
        strict=True,
    )


class ConfirmBody(RequestModel):
    """A confirmation of a deletion."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})


class UndoBody(RequestModel):
    """Why a deletion is undone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "contract renewed"}]})

    reason: Reason | None = Field(default=None, examples=["contract renewed"])


class DeletionLinks(Document):
    """Paths of the deletion; those of what can't be done at the moment are null."""

    tenant: str
    operation: str
    confirm: str | None
    undo: str | None
    certificate: str | None


class DeletionDocument(Document):
    """The newest deletion of a tenant."""

    model_config = ConfigDict(from_attributes=True)

    tenant_id: UUID
    tenant_name: str | None
    workflow_id: str
    reason: str | None
    trigger_source: str | None = Field(description="`manual` over HTTP, else what Alga's client gave.")
    grace_period_days: int
    requested_at: datetime
    requested_by: str | None
    requested_via: str | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    confirmed_via: str | None
    needs_second_person: bool = Field(
        description="Whether another person, with another key or token, than of the request has to confirm."
    )
    scheduled_for: datetime | None = Field(description="When the purge begins; null before the confirmation.")
    export_id: UUID | None = Field(description="The export that was made before; null if there is none.")
    undone_at: datetime | None
    deleted_at: datetime | None
    external: list[Any] | None = Field(
        description="What the tenant has outside the database; listed before the purge."
    )
    operation: StatusDocument | None = Field(description="Null once the operation is older than its retention.")
    links: DeletionLinks


class CertificateDocument(Certificate):
    """A certificate with its MAC, by which `alga-tenants certificate verify` recognises it."""

    mac: str = Field(description="HMAC-SHA-256 of the certificate's canonical JSON.", pattern="^[0-9a-f]{64}$")
