"""The tables of Alga that a new tenant touches, with only the columns that we read or write.

Types, keys and defaults are Alga's on plain PostgreSQL, so that the development database can be made from them. On
Citus most keys also hold the tenant, and so no statement names one as a conflict target.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

TENANT = "tenant"
CHANGE_TIMES = ("created_at", "updated_at")
SUSPENSIONS = {"if_missing": "suspensions don't stop the tenant's jobs, webhooks and API keys"}

alga_metadata = MetaData(naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s_idx"})

_Columns = tuple[Column[Any], ...]
_Type = TypeEngine[Any] | type[TypeEngine[Any]]
_SHORT = String(255)


def _tenant_table(name: str, *items: SchemaItem, times: Iterable[str] = CHANGE_TIMES, cascade: bool = False) -> Table:
    """Define a tenant-scoped table: `tenant` first in its key, `times` last, and a foreign key to `tenants`."""
    tenant = Column(TENANT, Uuid, primary_key=True)
    return Table(name, alga_metadata, tenant, *items, *_times(*times), _to_tenants(cascade=cascade))


def _to_tenants(*, cascade: bool = False) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([TENANT], ["tenants.tenant"], ondelete="CASCADE" if cascade else None)


def _to_parent(child: str, parent: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([child], [parent], ondelete="CASCADE")


def _within_tenant(column: str, parent: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    return ForeignKeyConstraint([TENANT, column], [f"{parent}.tenant", f"{parent}.{column}"], ondelete=ondelete)


def _key(*names: str, type_: _Type = Uuid) -> _Columns:
    return tuple(Column(name, type_, primary_key=True) for name in names)


def _id(name: str) -> Column[Any]:
    return Column(name, Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _optional(*names: str, type_: _Type = Text) -> _Columns:
    return tuple(Column(name, type_) for name in names)


def _required(*names: str, type_: _Type = Text, default: Any = None) -> _Columns:
    return tuple(Column(name, type_, nullable=False, server_default=default) for name in names)


def _flags(*names: str, default: bool = False) -> _Columns:
    value = text("true" if default else "false")
    return tuple(Column(name, Boolean, nullable=False, server_default=value) for name in names)


def _times(*names: str) -> _Columns:
    return _required(*names, type_=DateTime(timezone=True), default=func.now())


tenants = Table(
    "tenants",
    alga_metadata,
    _id(TENANT),
    *_required("client_name", "email"),
    *_required("billing_source", default="stripe"),
    *_required("product_code", default="psa"),
    *_optional("plan"),
    *_optional("licensed_user_count", type_=Integer),
    *_optional("last_license_update", type_=DateTime(timezone=True)),
    *_optional("stripe_event_id", type_=_SHORT),
    Column("suspended_at", DateTime(timezone=True), info=SUSPENSIONS),
    Column("suspended_reason", Text, info=SUSPENSIONS),
    *_times(*CHANGE_TIMES),
    CheckConstraint("product_code IN ('psa', 'algadesk')"),
    CheckConstraint("num_nonnulls(suspended_at, suspended_reason) <> 1 AND suspended_reason = 'tenant_cancelled'"),
    info={"must_be_new": True},
)

clients = _tenant_table(
    "clients",
    _id("client_id"),
    *_required("client_name"),
    *_required("client_type", default="company"),
    *_required("billing_cycle", default="monthly"),
    *_required("default_currency_code", type_=String(3), default="USD"),
    *_required("lifecycle_status", default="active"),
    *_flags("is_inactive", "is_tax_exempt", "auto_invoice"),
    *_optional("properties", type_=JSONB),
    UniqueConstraint("client_id"),
    UniqueConstraint(TENANT, "client_name"),
)

client_locations = _tenant_table(
    "client_locations",
    *_key("location_id"),
    *_required("client_id", type_=Uuid),
    *_optional("location_name", type_=_SHORT),
    *_required("address_line1", type_=_SHORT),
    *_optional("address_line2", type_=_SHORT),
    *_required("city", type_=_SHORT),
    *_optional("state_province", "postal_code", type_=_SHORT),
    *_required("country_code", "country_name", type_=_SHORT),
    *_optional("phone", "email", type_=_SHORT),
    *_flags("is_default", "is_billing_address", "is_shipping_address"),
    *_flags("is_active", default=True),
    _to_parent("client_id", "clients.client_id"),
    Index(None, TENANT, "client_id", unique=True, postgresql_where=text("is_default")),
)

tenant_companies = _tenant_table(
    "tenant_companies",
    *_key("client_id"),
    *_flags("is_default"),
    _to_parent("client_id", "clients.client_id"),
    Index(None, TENANT, unique=True, postgresql_where=text("is_default")),
    cascade=True,
)

users = _tenant_table(
    "users",
    _id("user_id"),
    *_key("email", type_=Text),
    *_required("username", "hashed_password"),
    *_optional("first_name", "last_name"),
    *_optional("contact_id", type_=Uuid),
    *_required("user_type", default="internal"),
    *_flags("is_inactive", "is_google_user", "needs_contact_association"),
    *_flags("two_factor_enabled", "two_factor_required_new_device"),
    UniqueConstraint(TENANT, "user_id"),
    CheckConstraint("user_type IN ('internal', 'client')"),
)

roles = _tenant_table(
    "roles",
    _id("role_id"),
    *_required("role_name"),
    *_optional("description"),
    *_flags("msp", default=True),
    *_flags("client"),
)

user_roles = _tenant_table(
    "user_roles",
    *_key("user_id", "role_id"),
    _within_tenant("role_id", "roles"),
    _within_tenant("user_id", "users"),
    times=("created_at",),
)

permissions = _tenant_table(
    "permissions",
    _id("permission_id"),
    *_required("resource", "action"),
    *_optional("description"),
    *_flags("msp", default=True),
    *_flags("client"),
    times=("created_at",),
)

role_permissions = _tenant_table(
    "role_permissions",
    *_key("role_id", "permission_id"),
    _within_tenant("role_id", "roles"),
    _within_tenant("permission_id", "permissions"),
    times=("created_at",),
)

statuses = _tenant_table(
    "statuses",
    _id("status_id"),
    *_required("name", "status_type"),
    *_optional("item_type"),
    *_required("order_number", type_=Integer),
    *_flags("is_closed", "is_default"),
    *_optional("color", type_=String(7)),
    *_optional("icon", type_=String(50)),
    Index(None, TENANT, "status_type", "name", unique=True, postgresql_where=text("status_type <> 'ticket'")),
    Index(None, TENANT, "status_type", "order_number", unique=True, postgresql_where=text("status_type <> 'ticket'")),
    times=("created_at",),
)

tax_regions = _tenant_table(
    "tax_regions",
    *_key("region_code", type_=_SHORT),
    *_required("region_name"),
    *_flags("is_active", default=True),
    cascade=True,
)

tax_rates = Table(
    "tax_rates",
    alga_metadata,
    *_key("tax_rate_id"),
    *_required(TENANT, type_=Uuid),
    *_required("region_code", type_=_SHORT),
    *_required("tax_percentage", type_=Numeric(10, 4)),
    *_optional("description"),
    *_required("start_date", type_=Date),
    *_flags("is_active", default=True),
    *_flags("is_composite", "is_reverse_charge_applicable"),
    *_times(*CHANGE_TIMES),
    UniqueConstraint(TENANT, "tax_rate_id"),
    _to_tenants(),
    _within_tenant("region_code", "tax_regions", ondelete="RESTRICT"),
)

document_default_folders = _tenant_table(
    "document_default_folders",
    _id("default_folder_id"),
    *_required("entity_type", "folder_name", "folder_path"),
    *_flags("is_client_visible"),
    *_required("sort_order", type_=Integer, default=text("0")),
    UniqueConstraint(TENANT, "entity_type", "folder_path"),
)

asset_type_registry = _tenant_table(
    "asset_type_registry",
    _id("type_id"),
    *_required("slug", "name"),
    *_required("display_order", type_=Integer, default=text("0")),
    *_flags("is_builtin"),
    *_required("fields_schema", type_=JSONB, default=text("'[]'::jsonb")),
    UniqueConstraint(TENANT, "slug"),
)

tenant_settings = _tenant_table(
    "tenant_settings",
    *_flags("onboarding_completed", "onboarding_skipped", "allow_external_tax_override"),
    Column("default_tax_source", String(20), server_default="internal"),
    cascade=True,
)

tenant_email_settings = Table(
    "tenant_email_settings",
    alga_metadata,
    *_key("id", type_=Integer),
    *_required(TENANT, type_=Uuid),
    Column("email_provider", Text, server_default="smtp"),
    Column("provider_configs", JSON, server_default=text("'[]'::json")),
    Column("custom_domains", JSON, server_default=text("'[]'::json")),
    *_flags("fallback_enabled", default=True),
    *_flags("tracking_enabled"),
    *_times(*CHANGE_TIMES),
    _to_tenants(cascade=True),
)

tenant_addons = _tenant_table(
    "tenant_addons",
    *_key("addon_key", type_=Text),
    *_optional("expires_at", type_=DateTime(timezone=True)),
    times=("activated_at",),
)

contract_line_presets = _tenant_table(
    "contract_line_presets",
    _id("preset_id"),
    *_required("preset_name", type_=_SHORT),
    *_required("contract_line_type", type_=String(50)),
    *_required("billing_frequency", type_=String(50), default="monthly"),
    *_required("billing_timing", type_=String(16), default="arrears"),
    cascade=True,
)

default_billing_settings = _tenant_table(
    "default_billing_settings", *_required("default_currency_code", type_=String(3), default="USD")
)


def _notification_source(name: str, key: str, *items: SchemaItem) -> Table:
    """Define a global table of notifications, which belongs to no tenant."""
    return Table(
        name,
        alga_metadata,
        *_key(key, type_=Integer),
        *items,
        *_required("name", type_=_SHORT),
        *_optional("description", type_=_SHORT),
        *_flags("is_enabled", "is_default_enabled", default=True),
        *_times(*CHANGE_TIMES),
    )


def _notification_settings(source: Table, reference: str) -> Table:
    """Define the table of the tenants' settings for the rows of a global table of notifications."""
    (key,) = source.primary_key.columns
    name = f"tenant_{source.name.replace('categories', 'category').replace('subtypes', 'subtype')}_settings"
    return _tenant_table(
        name,
        _id(f"{name.removesuffix('s')}_id"),
        *_required(reference, type_=Integer),
        *_flags("is_enabled", "is_default_enabled", default=True),
        UniqueConstraint(TENANT, reference),
        _to_parent(reference, str(key)),
        cascade=True,
    )


notification_categories = _notification_source("notification_categories", "id")
notification_subtypes = _notification_source(
    "notification_subtypes",
    "id",
    *_required("category_id", type_=Integer),
    _to_parent("category_id", "notification_categories.id"),
)
internal_notification_categories = _notification_source(
    "internal_notification_categories", "internal_notification_category_id"
)
internal_notification_subtypes = _notification_source(
    "internal_notification_subtypes",
    "internal_notification_subtype_id",
    *_required("internal_category_id", type_=Integer),
    _to_parent("internal_category_id", "internal_notification_categories.internal_notification_category_id"),
)

tenant_notification_category_settings = _notification_settings(notification_categories, "category_id")
tenant_notification_subtype_settings = _notification_settings(notification_subtypes, "subtype_id")
tenant_internal_notification_category_settings = _notification_settings(
    internal_notification_categories, "category_id"
)
tenant_internal_notification_subtype_settings = _notification_settings(internal_notification_subtypes, "subtype_id")

countries = Table("countries", alga_metadata, *_key("code", type_=String(2)), *_required("name", type_=String(100)))
