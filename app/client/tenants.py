"""Models of the gateway's documents of tenants. States and kinds of a newer gateway are kept unchanged."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.client.models import Document, OperationWarning


class Subscription(Document):
    """How a tenant pays, and its subscription at Stripe or Apple."""

    billing_source: str
    provider: str | None = None
    external_id: str | None = None
    status: str | None = None
    quantity: int | None = None
    period_end: datetime | None = None


class Addon(Document):
    """An add-on of a tenant."""

    addon_key: str
    activated_at: datetime | None = None
    expires_at: datetime | None = None


class TenantOperation(Document):
    """An operation on a tenant, in short."""

    workflow_id: str
    kind: str
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    link: str | None = None


class TenantDeletion(Document):
    """The deletion of a tenant that is being deleted, or was."""

    state: str
    reason: str | None = None
    requested_at: datetime | None = None
    requested_by: str | None = None
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    scheduled_for: datetime | None = None
    deleted_at: datetime | None = None
    link: str | None = None


class Tenant(Document):
    """A tenant. `name` is the tenant's own, `company_name` that of its client record.

    Lists lack the fields after `links`.
    """

    tenant_id: UUID
    name: str | None
    company_name: str | None = None
    email: str | None = Field(default=None, repr=False)
    product_code: str | None = None
    plan: str | None = None
    state: str | None = None
    license_count: int | None = None
    user_count: int | None = None
    created_at: datetime | None = None
    links: dict[str, str | None] = Field(default_factory=dict)
    suspended_at: datetime | None = None
    subscription: Subscription | None = None
    addons: tuple[Addon, ...] | None = None
    operations: tuple[TenantOperation, ...] = ()
    deletion: TenantDeletion | None = None


class User(Document):
    """A user of a tenant."""

    user_id: UUID
    email: str = Field(repr=False)
    first_name: str | None = Field(default=None, repr=False)
    last_name: str | None = Field(default=None, repr=False)
    user_type: str | None = None
    is_inactive: bool = False
    roles: tuple[str, ...] = ()
    last_login_at: datetime | None = None
    created_at: datetime | None = None


class ChangedRows(Document):
    """Rows of one table that a change of product adds, changes or leaves; `examples` name the first of them."""

    table: str
    rows: int
    examples: tuple[str, ...] = ()


class ProductChangeRefusal(Document):
    """Why the product of a tenant can't be changed."""

    code: str
    detail: str
    field: str | None = None


class ProductChangePreview(Document):
    """What a change of product would write; `stays` are rows that a new tenant of the product would not have."""

    tenant_id: UUID
    name: str
    product_code: str
    new_product_code: str
    is_allowed: bool
    refusals: tuple[ProductChangeRefusal, ...] = ()
    rows: int
    tables: tuple[ChangedRows, ...] = ()
    changes: tuple[ChangedRows, ...] = ()
    stays: tuple[ChangedRows, ...] = ()
    warnings: tuple[OperationWarning, ...] = ()


class ExternalResource(Document):
    """What a tenant has outside the database, of one kind; `names` may be fewer than `count`."""

    kind: str
    count: int | None = None
    names: tuple[str, ...] = ()
    note: str | None = None


class Footprint(Document):
    """What a deletion of a tenant would remove."""

    tenant_id: UUID
    tables: dict[str, int]
    rows: int
    external: tuple[ExternalResource, ...] = ()
