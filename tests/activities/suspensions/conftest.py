"""Tenants with users and mailboxes in every state, and what suspends them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.suspensions.activities import SuspensionActivities
from tests.activities.conftest import RUN
from tests.activities.purge.rows import row_writer
from tests.support.audit import AUDIT
from workflows.operations.kinds import OperationKind, initial_snapshot
from workflows.operations.messages import OperationContext
from workflows.tenants.steps import REACTIVATION, SUSPENSION
from workflows.tenants.suspension import SuspensionInput, SuspensionRequest

MANAGEMENT_TENANT = UUID("9f3c1d52-6c0b-4c8e-8a64-3f0d1b6a7e20")
TABLES = ("email_providers", "pending_tenant_deletions", "tenants", "tickets", "users")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
# The users and mailboxes of a tenant, beside those of the row writer.
USERS: list[dict[str, Any]] = [
    {"email": "ada", "is_inactive": False},
    {"email": "unset", "is_inactive": None},
    {"email": "left", "is_inactive": True},
    {"email": "customer", "is_inactive": False, "user_type": "client"},
    {"email": "customer-left", "is_inactive": True, "user_type": "client"},
]
PROVIDERS: list[dict[str, Any]] = [
    {"mailbox": "support", "is_active": True},
    {"mailbox": "unset", "is_active": None},
    {"mailbox": "off", "is_active": False},
    {"mailbox": "paused", "inbound_paused_at": NOON, "inbound_pause_reason": "manual"},
    {"mailbox": "refused", "inbound_paused_at": NOON, "inbound_pause_reason": "auth_failure"},
]


def asking(tenant_id: UUID, kind: OperationKind = SUSPENSION, reason: str = "unpaid") -> SuspensionInput:
    """Return the argument of an activity that works for a new operation of this kind."""
    snapshot = initial_snapshot(kind).model_copy(update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)})
    context = OperationContext(workflow_id=kind.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)
    return SuspensionInput(operation=context, request=SuspensionRequest(tenant_id=tenant_id, reason=reason))


def undoing(tenant_id: UUID) -> SuspensionInput:
    """Return the argument that undoes a suspension."""
    return asking(tenant_id, REACTIVATION)


async def insert(database: asyncpg.Connection, table: str, **row: Any) -> None:
    columns, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())  # noqa: S608 - ours


async def add_user(database: asyncpg.Connection, tenant_id: UUID, **row: Any) -> None:
    given = {"tenant": tenant_id, "user_id": uuid4(), "username": uuid4().hex, "hashed_password": "x", **row}
    await insert(database, "users", **given)


async def add_provider(database: asyncpg.Connection, tenant_id: UUID, **row: Any) -> None:
    given = {"tenant": tenant_id, "id": uuid4(), "provider_name": "x", "provider_type": "imap", **row}
    await insert(database, "email_providers", **given)


async def set_deletion(database: asyncpg.Connection, tenant_id: UUID, status: str) -> None:
    """Set the status of Alga's own deletion of the tenant."""
    update = "UPDATE pending_tenant_deletions SET status = $2, workflow_id = 'by-alga' WHERE tenant = $1"
    await database.execute(update, tenant_id, status)


async def add_tenant(database: asyncpg.Connection, shape: str, tables: Iterable[str] | None = TABLES) -> UUID:
    """Write a row into each of the tables, by default into a few, and the further users and mailboxes.

    None means every table. Other tests of the same database would then have to read all of them.
    """
    tenant_id = uuid4()
    async with database.transaction():
        await database.execute("SET LOCAL session_replication_role = replica")
        await database.execute(";\n".join(row_writer(shape).rows_of(tenant_id, tables)))
        if tables is not None:
            # The contact is not among them.
            await database.execute("UPDATE users SET contact_id = NULL WHERE tenant = $1", tenant_id)
        for user in USERS:
            await add_user(database, tenant_id, **user)
        for provider in PROVIDERS:
            await add_provider(database, tenant_id, **provider)
        await set_deletion(database, tenant_id, "rolled_back")
    return tenant_id


@pytest.fixture
def suspending(engine: AsyncEngine) -> SuspensionActivities:
    return SuspensionActivities(engine, AUDIT, MANAGEMENT_TENANT)


@pytest.fixture
def shape(request: pytest.FixtureRequest) -> str:
    """The shape of the tables in `database`."""
    found: str = request.node.callspec.params["database_url"]
    return found


@pytest.fixture
async def tenant_id(database: asyncpg.Connection, shape: str) -> UUID:
    return await add_tenant(database, shape)
