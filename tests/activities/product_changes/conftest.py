"""Help desk tenants, and what changes their product."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.product_changes.activities import ProductChangeActivities
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import RUN, built_in_blueprints, provision_input, request
from tests.support.audit import AUDIT
from workflows.operations.kinds import initial_snapshot
from workflows.operations.messages import Committed, OperationContext
from workflows.tenants.changes.product_change import ProductChangeInput, ProductChangeRequest
from workflows.tenants.steps import PRODUCT_CHANGE

MANAGEMENT_TENANT = UUID("9f3c1d52-6c0b-4c8e-8a64-3f0d1b6a7e20")

NewTenant = Callable[..., Awaitable[UUID]]
Insert = Callable[..., Awaitable[None]]


def asking(tenant_id: UUID) -> ProductChangeInput:
    """Return the argument of an activity that works for a new operation."""
    snapshot = initial_snapshot(PRODUCT_CHANGE).model_copy(
        update={"tenant_id": tenant_id, "started_at": datetime.now(UTC)}
    )
    context = OperationContext(workflow_id=PRODUCT_CHANGE.workflow_id(uuid4()), run_id=RUN, snapshot=snapshot)
    return ProductChangeInput(operation=context, request=ProductChangeRequest(tenant_id=tenant_id))


@pytest.fixture
def changing(engine: AsyncEngine) -> ProductChangeActivities:
    return ProductChangeActivities(engine, built_in_blueprints(), AUDIT, MANAGEMENT_TENANT)


@pytest.fixture
def new_tenant(provisioning: ProvisioningActivities) -> NewTenant:
    """Return a function that creates a tenant, of product algadesk by default."""

    async def create(product_code: str = "algadesk", **changes: Any) -> UUID:
        tenant_id = uuid4()
        given = request(tenant_id, productCode=product_code, **changes)
        await provisioning.provision_tenant(provision_input(given))
        return tenant_id

    return create


@pytest.fixture
def insert(database: asyncpg.Connection) -> Insert:
    """Return a function that inserts a row."""

    async def run(table: str, **row: Any) -> None:
        columns, places = ", ".join(row), ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *row.values())  # noqa: S608 - ours

    return run


async def change(changing: ProductChangeActivities, tenant_id: UUID) -> Committed:
    return await changing.change_product(asking(tenant_id))


async def add_help_desk(database: asyncpg.Connection, insert: Insert, tenant_id: UUID) -> dict[str, UUID]:
    """Give a tenant an agent, a client with billing profiles, and a board with ITIL priorities; return their ids."""
    ids = {name: uuid4() for name in ("agent", "client", "profile", "second", "board", "urgent", "vague")}
    agent_role = await database.fetchval(
        "SELECT role_id FROM roles WHERE tenant = $1 AND role_name = 'Agent' AND msp", tenant_id
    )
    own = {"tenant": tenant_id}
    user = {
        "user_id": ids["agent"],
        "username": "ag",
        "hashed_password": "x",
        "email": f"{ids['agent']}@acme.example",
    }
    await insert("users", **own, **user)
    await insert("user_roles", **own, user_id=ids["agent"], role_id=agent_role)
    await insert("clients", **own, client_id=ids["client"], client_name="Globex")
    for name, is_default in (("profile", True), ("second", False)):
        profile = {"billing_profile_id": ids[name], "client_id": ids["client"], "name": name}
        await insert("client_billing_profiles", **own, **profile, is_default=is_default)
    for name, level in (("urgent", 1), ("vague", None)):
        priority = {"priority_id": ids[name], "priority_name": name, "created_by": ids["agent"]}
        await insert("priorities", **own, **priority, is_from_itil_standard=True, itil_priority_level=level)
    await insert("boards", **own, board_id=ids["board"], board_name="Service Desk", priority_type="itil")
    await insert("boards", **own, board_id=uuid4(), board_name="Office", priority_type="custom")
    return ids


@pytest.fixture
async def help_desk(new_tenant: NewTenant, database: asyncpg.Connection, insert: Insert) -> UUID:
    """A tenant of product algadesk that is in use."""
    tenant_id = await new_tenant()
    await add_help_desk(database, insert, tenant_id)
    return tenant_id
