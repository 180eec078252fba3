"""Documents of tenants."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

from pydantic import ConfigDict, Field

from activities.alga.directory.billing import Addon, Subscription
from activities.alga.directory.tenants import TenantRecord
from activities.deletions.queries import DeletionStage, KnownDeletion
from activities.operations.queries import OperationRecord
from app.gateway.http.problems.problem import Document
from app.gateway.operations.schemas import Status


class TenantState(StrEnum):
    """The states of tenants."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETION_SCHEDULED = DeletionStage.SCHEDULED
    DELETING = DeletionStage.DELETING
    DELETED = DeletionStage.DELETED


class UserType(StrEnum):
    """The types of users."""

    INTERNAL = "internal"
    CLIENT = "client"


class TenantLinks(Document):
    """Paths of the tenant and of what belongs to it."""

    self: str = Field(description="The tenant.")
    operations: str = Field(description="The operations on the tenant.")
    users: str = Field(description="Its users.")
    footprint: str = Field(description="What a deletion of the tenant would remove.")
    suspension: str = Field(description="For PUT and DELETE: its suspension.")
    deletion: str = Field(description="Its deletion.")

    @classmethod
    def of(cls, tenant_id: UUID) -> Self:
        """Return the paths of a tenant."""
        path = f"/tenants/{tenant_id}"
        parts = {name: f"{path}/{name}" for name in ("users", "footprint", "suspension", "deletion")}
        return cls(self=path, operations=f"/operations?tenantId={tenant_id}", **parts)


class TenantDocument(Document):
    """A tenant. Of a deleted one only id, name, product and creation are known."""

    tenant_id: UUID
    name: str | None = Field(description="The tenant's name in Alga: `tenants.client_name`.", examples=["Acme"])
    company_name: str | None = Field(description="The name of the client that stands for the tenant itself.")
    email: str | None = Field(repr=False, description="The address that the tenant was created with.")
    product_code: str | None = Field(examples=["psa"])
    plan: str | None
    state: str = Field(description="More states may be added.", examples=list(TenantState))
    license_count: int | None = Field(description="Licensed users; null if there is no limit.")
    user_count: int | None = Field(description="Active internal users.")
    created_at: datetime | None
    links: TenantLinks

    @classmethod
    def of(cls, record: TenantRecord, deletion: DeletionStage | None) -> Self:
        """Return the document of a tenant; `deletion` is the state of its open deletion."""
        return cls.model_validate(_fields(record, deletion))

    @classmethod
    def of_deleted(cls, deletion: KnownDeletion) -> Self:
        """Return the document of a deleted tenant."""
        return cls.model_validate(_fields_of_deleted(deletion))


class TenantCounts(Document):
    """How many tenants there are."""

    total: int = Field(description="All that match the filters, except for the deleted ones.")
    by_state: dict[TenantState, int] = Field(
        description="The number of each state.",
        examples=[{"active": 40, "suspended": 2, "deletion_scheduled": 1, "deleting": 0, "deleted": 5}],
    )


class TenantList(Document):
    """A page of tenants."""

    tenants: tuple[TenantDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")


class SubscriptionDocument(Document):
    """How the tenant pays, and its subscription at Stripe or Apple."""

    billing_source: str = Field(examples=["stripe"])
    provider: str | None = Field(description="Null if there is no subscription.", examples=["stripe", "apple"])
    external_id: str | None = Field(description="The id of the subscription there.")
    status: str | None = Field(examples=["active"])
    quantity: int | None = Field(description="Seats; null for Apple.")
    period_end: datetime | None

    @classmethod
    def of(cls, billing_source: str, subscription: Subscription | None) -> Self:
        """Return the document of the subscription, if there is one."""
        known = dict.fromkeys(cls.model_fields) if subscription is None else vars(subscription)
        return cls.model_validate({**known, "billing_source": billing_source})


class AddonDocument(Document):
    """An add-on of the tenant."""

    model_config = ConfigDict(from_attributes=True)

    addon_key: str = Field(examples=["teams"])
    activated_at: datetime | None
    expires_at: datetime | None


class TenantOperation(Document):
    """An operation on the tenant, in short."""

    workflow_id: str
    kind: str = Field(examples=["tenant_creation"])
    status: Status
    started_at: datetime | None
    finished_at: datetime | None
    link: str = Field(description="The operation.")

    @classmethod
    def of(cls, record: OperationRecord) -> Self:
        """Return the document of an operation."""
        link = f"/operations/{quote(record.workflow_id, safe='')}"
        return cls.model_validate({**vars(record.snapshot), "workflow_id": record.workflow_id, "link": link})


class TenantDeletion(Document):
    """The deletion of a tenant that is being deleted, or was."""

    model_config = ConfigDict(from_attributes=True)

    state: str = Field(description="More states may be added.", examples=list(DeletionStage))
    reason: str | None
    requested_at: datetime
    requested_by: str | None
    confirmed_at: datetime | None = Field(description="Null while the deletion waits for a confirmation.")
    confirmed_by: str | None
    scheduled_for: datetime | None = Field(description="When the grace period ends, from the confirmation on.")
    deleted_at: datetime | None
    link: str = Field(description="The deletion.")

    @classmethod
    def of(cls, deletion: KnownDeletion) -> Self:
        """Return the document of a deletion."""
        link = TenantLinks.of(deletion.record.tenant_id).deletion
        return cls.model_validate({**vars(deletion.record), "state": deletion.stage, "link": link})


class TenantDetails(TenantDocument):
    """A tenant with its subscription, add-ons, newest operations and deletion."""

    suspended_at: datetime | None
    subscription: SubscriptionDocument | None = Field(description="Null for a deleted tenant.")
    addons: tuple[AddonDocument, ...] | None = Field(description="Null for a deleted tenant.")
    operations: tuple[TenantOperation, ...] = Field(description="The newest ten.")
    deletion: TenantDeletion | None = Field(description="Null unless the tenant is being deleted, or was.")

    @classmethod
    def of_live(
        cls,
        record: TenantRecord,
        deletion: KnownDeletion | None,
        subscription: Subscription | None,
        addons: Sequence[Addon],
        operations: Sequence[OperationRecord],
    ) -> Self:
        """Return the document of a tenant that was not deleted."""
        return cls.model_validate(
            {
                **_fields(record, deletion.stage if deletion is not None else None),
                "subscription": SubscriptionDocument.of(record.billing_source, subscription),
                "addons": tuple(map(AddonDocument.model_validate, addons)),
                "operations": tuple(map(TenantOperation.of, operations)),
                "deletion": TenantDeletion.of(deletion) if deletion is not None else None,
            }
        )

    @classmethod
    def of_gone(cls, deletion: KnownDeletion, operations: Sequence[OperationRecord]) -> Self:
        """Return the document of a deleted tenant."""
        return cls.model_validate(
            {
                **_fields_of_deleted(deletion),
                "operations": tuple(map(TenantOperation.of, operations)),
                "deletion": TenantDeletion.of(deletion),
            }
        )


class UserDocument(Document):
    """A user of a tenant."""

    model_config = ConfigDict(from_attributes=True)

    user_id: UUID
    email: str = Field(repr=False)
    first_name: str | None = Field(repr=False)
    last_name: str | None = Field(repr=False)
    user_type: str = Field(
        description="`internal` for the tenant's own people, `client` for its customers'.", examples=list(UserType)
    )
    is_inactive: bool
    roles: tuple[str, ...] = Field(description="The names of the user's roles.", examples=[["Admin"]])
    last_login_at: datetime | None = Field(description="Null also if this version of Alga does not record it.")
    created_at: datetime | None


class UserList(Document):
    """A page of users, newest first."""

    users: tuple[UserDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")


class ExternalDocument(Document):
    """What the tenant has outside the database, of one kind."""

    model_config = ConfigDict(from_attributes=True)

    kind: str = Field(description="More kinds may be added.", examples=["documents", "temporal_schedules"])
    count: int | None = Field(description="Null if they could not be counted.")
    names: tuple[str, ...] = Field(description="Names or ids, if there are few enough to be listed.")
    note: str = Field(description="Where these are, and what is not known of them.")


class FootprintDocument(Document):
    """What a deletion of the tenant would remove."""

    tenant_id: UUID
    tables: dict[str, int] = Field(
        description="Rows by table, without tables that have none.", examples=[{"tenants": 1, "users": 12}]
    )
    rows: int = Field(description="The sum.")
    external: tuple[ExternalDocument, ...] = Field(
        description="What is known from rows and from Temporal. A deletion lists it, and removes the schedules only."
    )


def _fields(record: TenantRecord, deletion: DeletionStage | None) -> dict[str, Any]:
    state = TenantState.ACTIVE if record.suspended_at is None else TenantState.SUSPENDED
    return {**vars(record), "state": deletion or state, "links": TenantLinks.of(record.tenant_id)}


def _fields_of_deleted(deletion: KnownDeletion) -> dict[str, Any]:
    record = deletion.record
    return {
        **dict.fromkeys(TenantDetails.model_fields),
        "tenant_id": record.tenant_id,
        "name": record.tenant_name,
        "product_code": record.product_code,
        "created_at": record.tenant_created_at,
        "state": deletion.stage,
        "links": TenantLinks.of(record.tenant_id),
    }
