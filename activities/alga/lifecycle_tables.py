"""The tables of Alga that suspensions and deletions change, with the columns that we use. Not every edition has them.

`if_missing` says what a database without the table or the column means, if an operator should know.
"""

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from activities.alga.tables import TENANT, tenants

lifecycle_metadata = MetaData()
PAUSES = {"if_missing": "suspensions pause no inbound mail"}


def _columns(type_: Any, *names: str, nullable: bool = True) -> tuple[Column[Any], ...]:
    return tuple(Column(name, type_, nullable=nullable) for name in names)


def _times(*names: str, nullable: bool = True) -> tuple[Column[Any], ...]:
    return _columns(DateTime(timezone=True), *names, nullable=nullable)


def _change_times() -> tuple[Column[Any], ...]:
    return tuple(
        Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
        for name in ("created_at", "updated_at")
    )


email_providers = Table(
    "email_providers",
    lifecycle_metadata,
    Column("id", Uuid, primary_key=True),
    Column(TENANT, Uuid, primary_key=True),
    Column("provider_type", String(50), nullable=False),
    *_columns(String(255), "provider_name", "mailbox", nullable=False),
    Column("is_active", Boolean, server_default=text("true")),
    Column("status", Text, server_default="configuring"),
    Column("inbound_paused_at", DateTime(timezone=True), info=PAUSES),
    Column("inbound_pause_reason", Text, info=PAUSES),
    *_change_times(),
    UniqueConstraint(TENANT, "mailbox"),
    CheckConstraint(
        "inbound_paused_at IS NULL AND inbound_pause_reason IS NULL OR inbound_paused_at IS NOT NULL"
        " AND inbound_pause_reason IN ('manual', 'tenant_cancelled', 'auth_failure')"
    ),
    CheckConstraint("status IN ('connected', 'disconnected', 'error', 'configuring')"),
    ForeignKeyConstraint([TENANT], [tenants.c.tenant]),
    info=PAUSES,
)

pending_tenant_deletions = Table(
    "pending_tenant_deletions",
    lifecycle_metadata,
    Column("deletion_id", Uuid, primary_key=True),
    Column(TENANT, Uuid, nullable=False, unique=True),
    *_columns(Text, "trigger_source", "workflow_id", nullable=False),
    *_columns(Uuid, "triggered_by", "confirmed_by", "rolled_back_by"),
    *_columns(Text, "subscription_external_id", "workflow_run_id", "confirmation_type", "rollback_reason", "error"),
    *_times("canceled_at", "scheduled_deletion_date", nullable=False),
    *_times("confirmed_at", "deletion_scheduled_for", "deleted_at", "rolled_back_at", "last_winback_email_at"),
    Column("status", String(50), nullable=False, server_default="pending"),
    Column("stats_snapshot", JSONB, nullable=False),
    *_change_times(),
    ForeignKeyConstraint([TENANT], [tenants.c.tenant]),
)
