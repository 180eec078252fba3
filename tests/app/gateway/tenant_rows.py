"""Rows of tenants that this service has not created."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


async def insert(database: asyncpg.Connection, table: str, **row: Any) -> None:
    columns = ", ".join(row)
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())  # noqa: S608 - ours


async def add_tenant(database: asyncpg.Connection, name: str = "Acme", **row: Any) -> UUID:
    """Insert a tenant as Alga itself might."""
    tenant_id = uuid4()
    tenant = {"client_name": name, "email": f"{tenant_id}@acme.example", "billing_source": "stripe", **row}
    await insert(database, "tenants", **{"tenant": tenant_id, "created_at": NOON, **tenant})
    return tenant_id


async def add_client(database: asyncpg.Connection, tenant: UUID, name: str, *, is_own: bool = True) -> None:
    client_id = uuid4()
    await insert(database, "clients", tenant=tenant, client_id=client_id, client_name=name)
    await insert(database, "tenant_companies", tenant=tenant, client_id=client_id, is_default=is_own)


async def add_user(database: asyncpg.Connection, tenant: UUID, **row: Any) -> None:
    email = f"{uuid4()}@acme.example"
    await insert(
        database, "users", **{"tenant": tenant, "username": email, "email": email, "hashed_password": "x", **row}
    )
