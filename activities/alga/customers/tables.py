"""The tables of Alga in which its management tenant keeps customers, with the columns that we use.

`if_missing` says what a database without the table or the column means, if an operator should know.
"""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.schema import SchemaItem

from activities.alga.tables import TENANT, tenants

customer_metadata = MetaData()
UNTRACKED = {"if_missing": "customers are not tracked"}


def _table(name: str, key: str, *items: SchemaItem, **info: Any) -> Table:
    return Table(
        name,
        customer_metadata,
        Column(TENANT, Uuid, primary_key=True),
        Column(key, Uuid, primary_key=True, server_default=func.gen_random_uuid()),
        *items,
        ForeignKeyConstraint([TENANT], [tenants.c.tenant]),
        info=info,
    )


def _columns(type_: Any, *names: str, nullable: bool = True) -> tuple[Column[Any], ...]:
    return tuple(Column(name, type_, nullable=nullable) for name in names)


contacts = _table(
    "contacts",
    "contact_name_id",
    *_columns(Text, "full_name", "email", "role"),
    *_columns(Uuid, "client_id"),
    Column("is_inactive", Boolean, server_default=text("false")),
    UniqueConstraint(TENANT, "email"),
    **UNTRACKED,
)

tag_definitions = _table(
    "tag_definitions",
    "tag_id",
    *_columns(Text, "tag_text", "tagged_type", nullable=False),
    UniqueConstraint(TENANT, "tag_text", "tagged_type"),
    **UNTRACKED,
)

tag_mappings = _table(
    "tag_mappings",
    "mapping_id",
    *_columns(Uuid, "tag_id", "tagged_id", nullable=False),
    *_columns(Text, "tagged_type", nullable=False),
    UniqueConstraint(TENANT, "tag_id", "tagged_id"),
    ForeignKeyConstraint(
        [TENANT, "tag_id"], [tag_definitions.c.tenant, tag_definitions.c.tag_id], ondelete="CASCADE"
    ),
    **UNTRACKED,
)

# Older versions of Alga have no such table.
contact_additional_email_addresses = _table(
    "contact_additional_email_addresses",
    "contact_additional_email_address_id",
    *_columns(Uuid, "contact_name_id", nullable=False),
    *_columns(Text, "email_address", nullable=False),
)
