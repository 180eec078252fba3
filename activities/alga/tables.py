"""The tables of Alga that a new tenant touches, with only the columns that we read or write.

Types, keys and defaults are Alga's on plain PostgreSQL, so that the development database can be made from them;
on Citus most keys also hold the tenant, and so nothing here is ever named as a conflict target.
"""

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
from sqlalchemy.sql.elements import TextClause

TENANT = "tenant"
TRUE = text("true")
FALSE = text("false")
NEW_ID = func.gen_random_uuid()

alga_metadata = MetaData(naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s_idx"})


def _tenant_table(name: str, *items: SchemaItem, cascade: bool = False) -> Table:
    """A tenant-scoped table: `tenant` first in its key, and a key to `tenants`."""
    to_tenants = ForeignKeyConstraint([TENANT], ["tenants.tenant"], ondelete="CASCADE" if cascade else None)
    return Table(name, alga_metadata, Column(TENANT, Uuid, primary_key=True), *items, to_tenants)


def _id(name: str) -> Column[object]:
    return Column(name, Uuid, primary_key=True, server_default=NEW_ID)


def _flag(name: str, default: TextClause = FALSE) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=default)


def _words(name: str, default: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _created() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _times() -> tuple[Column[object], Column[object]]:
    return _created(), Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now())


tenants = Table(
    "tenants",
    alga_metadata,
    _id(TENANT),
    Column("client_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    _words("billing_source", "stripe"),
    _words("product_code", "psa"),
    Column("plan", Text),
    Column("licensed_user_count", Integer),
    Column("last_license_update", DateTime(timezone=True)),
    Column("stripe_event_id", String(255)),
    Column("suspended_at", DateTime(timezone=True)),
    *_times(),
    CheckConstraint("product_code IN ('psa', 'algadesk')"),
)

clients = _tenant_table(
    "clients",
    _id("client_id"),
    Column("client_name", Text, nullable=False),
    _words("client_type", "company"),
    _words("billing_cycle", "monthly"),
    Column("default_currency_code", String(3), nullable=False, server_default="USD"),
    _words("lifecycle_status", "active"),
    _flag("is_inactive"),
    _flag("is_tax_exempt"),
    _flag("auto_invoice"),
    Column("properties", JSONB),
    *_times(),
    UniqueConstraint("client_id"),
    UniqueConstraint(TENANT, "client_name"),
)

client_locations = _tenant_table(
    "client_locations",
    Column("location_id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("location_name", String(255)),
    Column("address_line1", String(255), nullable=False),
    Column("address_line2", String(255)),
    Column("city", String(255), nullable=False),
    Column("state_province", String(255)),
    Column("postal_code", String(255)),
    Column("country_code", String(255), nullable=False),
    Column("country_name", String(255), nullable=False),
    Column("phone", String(255)),
    Column("email", String(255)),
    _flag("is_default"),
    _flag("is_billing_address"),
    _flag("is_shipping_address"),
    _flag("is_active", TRUE),
    *_times(),
    ForeignKeyConstraint(["client_id"], ["clients.client_id"], ondelete="CASCADE"),
    Index(None, TENANT, "client_id", unique=True, postgresql_where=text("is_default")),
)

tenant_companies = _tenant_table(
    "tenant_companies",
    Column("client_id", Uuid, primary_key=True),
    _flag("is_default"),
    *_times(),
    ForeignKeyConstraint(["client_id"], ["clients.client_id"], ondelete="CASCADE"),
    Index(None, TENANT, unique=True, postgresql_where=text("is_default")),
    cascade=True,
)

users = _tenant_table(
    "users",
    _id("user_id"),
    Column("email", Text, primary_key=True),
    Column("username", Text, nullable=False),
    Column("hashed_password", Text, nullable=False),
    Column("first_name", Text),
    Column("last_name", Text),
    _words("user_type", "internal"),
    _flag("is_inactive"),
    _flag("is_google_user"),
    _flag("needs_contact_association"),
    _flag("two_factor_enabled"),
    _flag("two_factor_required_new_device"),
    *_times(),
    UniqueConstraint(TENANT, "user_id"),
    CheckConstraint("user_type IN ('internal', 'client')"),
)

roles = _tenant_table(
    "roles",
    _id("role_id"),
    Column("role_name", Text, nullable=False),
    Column("description", Text),
    _flag("msp", TRUE),
    _flag("client"),
    *_times(),
)

user_roles = _tenant_table(
    "user_roles",
    Column("user_id", Uuid, primary_key=True),
    Column("role_id", Uuid, primary_key=True),
    _created(),
    ForeignKeyConstraint([TENANT, "role_id"], ["roles.tenant", "roles.role_id"]),
    ForeignKeyConstraint([TENANT, "user_id"], ["users.tenant", "users.user_id"]),
)

permissions = _tenant_table(
    "permissions",
    _id("permission_id"),
    Column("resource", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("description", Text),
    _flag("msp", TRUE),
    _flag("client"),
    _created(),
)

role_permissions = _tenant_table(
    "role_permissions",
    Column("role_id", Uuid, primary_key=True),
    Column("permission_id", Uuid, primary_key=True),
    _created(),
    ForeignKeyConstraint([TENANT, "role_id"], ["roles.tenant", "roles.role_id"]),
    ForeignKeyConstraint([TENANT, "permission_id"], ["permissions.tenant", "permissions.permission_id"]),
)

statuses = _tenant_table(
    "statuses",
    _id("status_id"),
    Column("name", Text, nullable=False),
    Column("status_type", Text, nullable=False),
    Column("item_type", Text),
    Column("order_number", Integer, nullable=False),
    _flag("is_closed"),
    _flag("is_default"),
    Column("color", String(7)),
    Column("icon", String(50)),
    _created(),
    Index(None, TENANT, "status_type", "name", unique=True, postgresql_where=text("status_type <> 'ticket'")),
    Index(None, TENANT, "status_type", "order_number", unique=True, postgresql_where=text("status_type <> 'ticket'")),
)

tax_regions = _tenant_table(
    "tax_regions",
    Column("region_code", String(255), primary_key=True),
    Column("region_name", Text, nullable=False),
    _flag("is_active", TRUE),
    *_times(),
    cascade=True,
)

tax_rates = Table(
    "tax_rates",
    alga_metadata,
    Column("tax_rate_id", Uuid, primary_key=True),
    Column(TENANT, Uuid, nullable=False),
    Column("region_code", String(255), nullable=False),
    Column("tax_percentage", Numeric(10, 4), nullable=False),
    Column("description", Text),
    Column("start_date", Date, nullable=False),
    _flag("is_active", TRUE),
    _flag("is_composite"),
    _flag("is_reverse_charge_applicable"),
    *_times(),
    UniqueConstraint(TENANT, "tax_rate_id"),
    ForeignKeyConstraint([TENANT], ["tenants.tenant"]),
    ForeignKeyConstraint(
        [TENANT, "region_code"], ["tax_regions.tenant", "tax_regions.region_code"], ondelete="RESTRICT"
    ),
)

document_default_folders = _tenant_table(
    "document_default_folders",
    _id("default_folder_id"),
    Column("entity_type", Text, nullable=False),
    Column("folder_name", Text, nullable=False),
    Column("folder_path", Text, nullable=False),
    _flag("is_client_visible"),
    Column("sort_order", Integer, nullable=False, server_default=text("0")),
    *_times(),
    UniqueConstraint(TENANT, "entity_type", "folder_path"),
)

asset_type_registry = _tenant_table(
    "asset_type_registry",
    _id("type_id"),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("display_order", Integer, nullable=False, server_default=text("0")),
    _flag("is_builtin"),
    Column("fields_schema", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    *_times(),
    UniqueConstraint(TENANT, "slug"),
)

tenant_settings = _tenant_table(
    "tenant_settings",
    _flag("onboarding_completed"),
    _flag("onboarding_skipped"),
    Column("default_tax_source", String(20), server_default="internal"),
    _flag("allow_external_tax_override"),
    *_times(),
    cascade=True,
)

tenant_email_settings = Table(
    "tenant_email_settings",
    alga_metadata,
    Column("id", Integer, primary_key=True),
    Column(TENANT, Uuid, nullable=False),
    Column("email_provider", Text, server_default="smtp"),
    Column("provider_configs", JSON, server_default=text("'[]'::json")),
    Column("custom_domains", JSON, server_default=text("'[]'::json")),
    _flag("fallback_enabled", TRUE),
    _flag("tracking_enabled"),
    *_times(),
    ForeignKeyConstraint([TENANT], ["tenants.tenant"], ondelete="CASCADE"),
)

tenant_addons = _tenant_table(
    "tenant_addons",
    Column("addon_key", Text, primary_key=True),
    Column("activated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

contract_line_presets = _tenant_table(
    "contract_line_presets",
    _id("preset_id"),
    Column("preset_name", String(255), nullable=False),
    Column("contract_line_type", String(50), nullable=False),
    Column("billing_frequency", String(50), nullable=False, server_default="monthly"),
    Column("billing_timing", String(16), nullable=False, server_default="arrears"),
    *_times(),
    cascade=True,
)

default_billing_settings = _tenant_table(
    "default_billing_settings",
    Column("default_currency_code", String(3), nullable=False, server_default="USD"),
    *_times(),
)


def _notification_source(name: str, key: str, *items: SchemaItem) -> Table:
    """A global table of notifications; it belongs to no tenant."""
    return Table(
        name,
        alga_metadata,
        Column(key, Integer, primary_key=True),
        *items,
        Column("name", String(255), nullable=False),
        Column("description", String(255)),
        _flag("is_enabled", TRUE),
        _flag("is_default_enabled", TRUE),
        *_times(),
    )


def _notification_settings(name: str, reference: str, source: str) -> Table:
    """A tenant's own switches for the rows of a global table of notifications."""
    return _tenant_table(
        name,
        _id(f"{name.removesuffix('s')}_id"),
        Column(reference, Integer, nullable=False),
        _flag("is_enabled", TRUE),
        _flag("is_default_enabled", TRUE),
        *_times(),
        UniqueConstraint(TENANT, reference),
        ForeignKeyConstraint([reference], [source], ondelete="CASCADE"),
        cascade=True,
    )


notification_categories = _notification_source("notification_categories", "id")
notification_subtypes = _notification_source(
    "notification_subtypes",
    "id",
    Column("category_id", Integer, nullable=False),
    ForeignKeyConstraint(["category_id"], ["notification_categories.id"], ondelete="CASCADE"),
)
internal_notification_categories = _notification_source(
    "internal_notification_categories", "internal_notification_category_id"
)
internal_notification_subtypes = _notification_source(
    "internal_notification_subtypes",
    "internal_notification_subtype_id",
    Column("internal_category_id", Integer, nullable=False),
    ForeignKeyConstraint(
        ["internal_category_id"],
        ["internal_notification_categories.internal_notification_category_id"],
        ondelete="CASCADE",
    ),
)

tenant_notification_category_settings = _notification_settings(
    "tenant_notification_category_settings", "category_id", "notification_categories.id"
)
tenant_notification_subtype_settings = _notification_settings(
    "tenant_notification_subtype_settings", "subtype_id", "notification_subtypes.id"
)
tenant_internal_notification_category_settings = _notification_settings(
    "tenant_internal_notification_category_settings",
    "category_id",
    "internal_notification_categories.internal_notification_category_id",
)
tenant_internal_notification_subtype_settings = _notification_settings(
    "tenant_internal_notification_subtype_settings",
    "subtype_id",
    "internal_notification_subtypes.internal_notification_subtype_id",
)

countries = Table(
    "countries",
    alga_metadata,
    Column("code", String(2), primary_key=True),
    Column("name", String(100), nullable=False),
)
