"""Documents of tenants."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from pydantic import Field

from activities.alga.directory.tenants import TenantRecord
from app.gateway.http.problems.problem import Document


class TenantState(StrEnum):
    """States that tenants can be filtered by."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class TenantLinks(Document):
    """Paths of the tenant and of its operations."""

    self: str = Field(description="The tenant.")
    operations: str = Field(description="The operations on the tenant.")


class TenantDocument(Document):
    """A tenant in Alga's database."""

    tenant_id: UUID
    name: str = Field(description="The tenant's name in Alga: `tenants.client_name`.", examples=["Acme"])
    company_name: str | None = Field(description="The name of the client that stands for the tenant itself.")
    email: str = Field(repr=False, description="The address that the tenant was created with.")
    product_code: str = Field(examples=["psa"])
    plan: str | None
    state: str = Field(description="More states may be added.", examples=list(TenantState))
    license_count: int | None = Field(description="Licensed users; null if there is no limit.")
    user_count: int = Field(description="Active internal users.")
    created_at: datetime | None
    links: TenantLinks

    @classmethod
    def of(cls, record: TenantRecord) -> Self:
        """Return the document of a tenant."""
        path = f"/tenants/{record.tenant_id}"
        links = TenantLinks(self=path, operations=f"/operations?tenantId={record.tenant_id}")
        state = TenantState.ACTIVE if record.suspended_at is None else TenantState.SUSPENDED
        return cls.model_validate({**vars(record), "state": state, "links": links})


class TenantList(Document):
    """A page of tenants, newest first."""

    tenants: tuple[TenantDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")
