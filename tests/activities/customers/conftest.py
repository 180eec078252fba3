"""A management tenant, and committed creations whose customers are to be tracked there."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.customers.activities import CustomerActivities
from tests.activities.conftest import provision_input, provisioning_on, request
from workflows.operations.messages import FollowUpInput
from workflows.tenants.steps import TRACK_CUSTOMER

Creation = Callable[..., Awaitable[FollowUpInput]]


@pytest.fixture
async def management(database: asyncpg.Connection) -> UUID:
    """A management tenant of this test alone."""
    tenant_id = uuid4()
    await database.execute(
        "INSERT INTO tenants (tenant, client_name, email, billing_source)"
        " VALUES ($1, 'MSP', 'msp@msp.example', 'manual')",
        tenant_id,
    )
    return tenant_id


@pytest.fixture
def tracking(engine: AsyncEngine, management: UUID) -> CustomerActivities:
    return CustomerActivities(engine, management)


@pytest.fixture
def created(engine: AsyncEngine, management: UUID) -> Creation:
    """Commit a creation whose customer is to be tracked, and return the argument of the step."""

    async def create(**changes: Any) -> FollowUpInput:
        asked = request(uuid4(), **changes)
        given = provision_input(asked)
        snapshot = given.operation.snapshot.model_copy(update=asked.shown)
        given = given.model_copy(update={"operation": given.operation.showing(snapshot)})
        await provisioning_on(
            engine, TRACK_CUSTOMER, billing_tenant=management, mails_have_links=True
        ).provision_tenant(given)
        return FollowUpInput(operation=given.operation, request={})

    return create
