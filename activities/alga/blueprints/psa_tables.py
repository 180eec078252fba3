"""The tables of Alga that a change to product psa fills, with the columns that we use. Not every Alga has them."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.schema import SchemaItem

from activities.alga.tables import TENANT, tenants

product_metadata = MetaData()

_TRUE, _FALSE = text("true"), text("false")


def _table(name: str, *columns: SchemaItem) -> Table:
    tenant = Column(TENANT, Uuid, primary_key=True)
    return Table(name, product_metadata, tenant, *columns, ForeignKeyConstraint([TENANT], [tenants.c.tenant]))


def _id(name: str) -> Column[Any]:
    return Column(name, Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _columns(type_: Any, *names: str, nullable: bool = True, default: Any = None) -> tuple[Column[Any], ...]:
    return tuple(Column(name, type_, nullable=nullable, server_default=default) for name in names)


client_billing_profiles = _table(
    "client_billing_profiles",
    _id("billing_profile_id"),
    *_columns(Uuid, "client_id", nullable=False),
    *_columns(Text, "name", nullable=False),
    *_columns(Boolean, "is_default", "is_system_managed_default", nullable=False, default=_FALSE),
)

client_tax_settings = _table(
    "client_tax_settings",
    Column("client_id", Uuid, primary_key=True),
    Column("billing_profile_id", Uuid, primary_key=True),
    *_columns(Boolean, "is_reverse_charge_applicable", default=_FALSE),
)

client_tax_rates = _table(
    "client_tax_rates",
    _id("client_tax_rates_id"),
    *_columns(Uuid, "client_id", "tax_rate_id", nullable=False),
    *_columns(Uuid, "location_id"),
    *_columns(Boolean, "is_default", nullable=False, default=_FALSE),
)

tax_components = _table(
    "tax_components",
    Column("tax_component_id", Uuid, primary_key=True),
    *_columns(Uuid, "tax_rate_id", nullable=False),
    *_columns(String(255), "name", nullable=False),
    *_columns(BigInteger, "rate", nullable=False),
    *_columns(Integer, "sequence", nullable=False),
    *_columns(Boolean, "is_compound", default=_FALSE),
)

sla_policies = _table(
    "sla_policies",
    _id("sla_policy_id"),
    *_columns(Text, "policy_name", nullable=False),
    *_columns(Text, "description"),
    *_columns(Boolean, "is_default", default=_FALSE),
)

sla_notification_thresholds = _table(
    "sla_notification_thresholds",
    _id("threshold_id"),
    *_columns(Uuid, "sla_policy_id", nullable=False),
    *_columns(Integer, "threshold_percent", nullable=False),
    *_columns(Text, "notification_type", nullable=False, default="warning"),
    *_columns(Boolean, "notify_assignee", default=_TRUE),
    *_columns(Boolean, "notify_board_manager", "notify_escalation_manager", default=_FALSE),
    *_columns(ARRAY(Text), "channels", default=text("ARRAY['in_app']")),
)

sla_policy_targets = _table(
    "sla_policy_targets",
    _id("target_id"),
    *_columns(Uuid, "sla_policy_id", "priority_id", nullable=False),
    *_columns(Integer, "response_time_minutes", "resolution_time_minutes"),
    *_columns(Integer, "escalation_1_percent", default=text("70")),
    *_columns(Integer, "escalation_2_percent", default=text("90")),
    *_columns(Integer, "escalation_3_percent", default=text("110")),
    *_columns(Boolean, "is_24x7", default=_FALSE),
)

priorities = _table(
    "priorities",
    _id("priority_id"),
    *_columns(Text, "priority_name", nullable=False),
    *_columns(Text, "item_type", default="ticket"),
    *_columns(Boolean, "is_from_itil_standard", default=_FALSE),
    *_columns(Integer, "itil_priority_level"),
    *_columns(Uuid, "created_by", nullable=False),
)

boards = _table(
    "boards",
    _id("board_id"),
    *_columns(Text, "board_name", nullable=False),
    *_columns(Text, "priority_type", default="custom"),
    *_columns(Uuid, "sla_policy_id"),
)

PRODUCT_TABLES: tuple[Table, ...] = tuple(product_metadata.tables.values())
