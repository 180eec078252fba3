"""What the tables of schema `alga_tenants` share: its metadata, and columns of the usual types."""

from typing import Any

from sqlalchemy import Column, DateTime, Integer, MetaData, Text, text
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "alga_tenants"

own_metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)


def texts(*names: str, **options: Any) -> tuple[Column[Any], ...]:
    """Return columns of type text."""
    return tuple(Column(name, Text, **options) for name in names)


def times(*names: str, **options: Any) -> tuple[Column[Any], ...]:
    """Return columns of points in time."""
    return tuple(Column(name, DateTime(timezone=True), **options) for name in names)


def json_list(name: str) -> Column[Any]:
    """Return a column for a JSON array, empty by default."""
    return Column(name, JSONB, nullable=False, server_default=text("'[]'::jsonb"))


def counter(name: str) -> Column[Any]:
    """Return a column for a number, 0 by default."""
    return Column(name, Integer, nullable=False, server_default=text("0"))
