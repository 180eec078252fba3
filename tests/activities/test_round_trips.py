"""How often the creation of a tenant waits for the database: what counts where it is not on the same machine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints import load_blueprints
from activities.alga.passwords import PasswordHasher
from activities.database import create_engine
from activities.operations import record_operation
from activities.tenant_creation import TenantCreationActivities
from activities.transactions import Transactions
from tests.activities.conftest import request, sqlalchemy_url, step_input
from tests.support.audit import AUDIT
from tests.support.round_trips import RoundTrips, counting_proxy
from workflows.messages import TenantCreationInput
from workflows.steps import STEP_ACTIVITIES, Step

pytestmark = pytest.mark.anyio

# A beginning, the fence, and a commit that brings the rows along, make three; the rest is what must be known first:
# whether the e-mail is still free (1), which notifications there are (1), when the tenant was made (1),
# and whether it was cancelled meanwhile (1). The first step has nothing to commit but the fence, and
# sees what is taken (1).
ALLOWED = {
    Step.INITIALIZING: 2,
    Step.CREATING_TENANT: 3,
    Step.RUNNING_ONBOARDING_SEEDS: 3,
    Step.CREATING_ADMIN_USER: 4,
    Step.SETTING_UP_DATA: 4,
    Step.COMPLETING: 5,
}


def activities_on(engine: AsyncEngine) -> TenantCreationActivities:
    return TenantCreationActivities(engine, load_blueprints(), PasswordHasher("test-nextauth-secret"), AUDIT)


async def run_steps(creation: TenantCreationActivities, given: TenantCreationInput, count: Any) -> dict[Step, int]:
    """Run all steps; how much the count grew in each."""
    grown = {}
    for step, activity in STEP_ACTIVITIES.items():
        before = count()
        await getattr(creation, activity)(step_input(step, given))
        grown[step] = count() - before
    return grown


@pytest.mark.parametrize(
    "changes", [{}, {"billingPlan": "Managed Services", "addons": ["ai"]}, {"productCode": "algadesk"}]
)
async def test_a_whole_creation_takes_21_round_trips(
    engine: AsyncEngine, database_url: str, changes: Mapping[str, Any]
) -> None:
    warming, counted = request(uuid4(), **changes), request(uuid4(), **changes)
    # As the gateway does when it starts an operation.
    for given in (warming, counted):
        async with Transactions(engine).begin() as opened:
            await record_operation(opened, step_input(Step.INITIALIZING, given).operation, given, AUDIT)
    async with counted_engine(database_url) as (proxied, trips):
        creation = activities_on(proxied)
        # Connecting, and preparing what is then kept with the connection.
        await run_steps(creation, warming, lambda: trips.count)
        taken = await run_steps(creation, counted, lambda: trips.count)
    assert taken == ALLOWED
    assert sum(taken.values()) == 21


async def test_the_gateway_records_an_operation_in_4_round_trips(database_url: str) -> None:
    async with counted_engine(database_url, pre_ping=True) as (proxied, trips):
        taken = []
        for _ in range(3):
            given = request(uuid4())
            before = trips.count
            async with Transactions(proxied).begin() as opened:
                await record_operation(opened, step_input(Step.INITIALIZING, given).operation, given, AUDIT)
            taken.append(trips.count - before)
    assert taken[-1] == 4


@asynccontextmanager
async def counted_engine(
    database_url: str, *, pre_ping: bool = False
) -> AsyncIterator[tuple[AsyncEngine, RoundTrips]]:
    direct = make_url(database_url)
    assert direct.port is not None
    async with counting_proxy(direct.port) as (port, trips):
        engine = create_engine(
            sqlalchemy_url(database_url).set(port=port),
            application_name="tests",
            pool_size=1,
            statement_timeout=8,
            pre_ping=pre_ping,
        )
        yield engine, trips
        await engine.dispose()
