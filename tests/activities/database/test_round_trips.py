"""Counts how often the creation of a tenant waits for the database, which matters if that is far away."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints.blueprint import BUILT_IN, load_blueprints
from activities.alga.passwords import PasswordHasher
from activities.database.engines import create_engine
from activities.database.transactions import Transactions
from activities.operations.rows import OperationRow
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.billing_requests import bought_in_an_app, subscribed
from tests.activities.conftest import ON_ONE_SHAPE, provision_input, provisioning_on, request, sqlalchemy_url
from tests.support.audit import AUDIT
from tests.support.round_trips import RoundTrips, counting_proxy
from tests.support.tenants.stripe import insert_management_tenant
from workflows.tenants.request import TenantCreationInput

pytestmark = pytest.mark.anyio

# BEGIN, the lock of the row with everything that must be known, the search for conflicts, four parts and the commit.
MAX_OF_WORKER = 8
# BEGIN, the row, the head of the audit trail, and the event with the commit.
MAX_OF_GATEWAY = 4


async def record(engine: AsyncEngine, given: TenantCreationInput) -> None:
    """Write the operation's row as the gateway does when it starts an operation."""
    operation = provision_input(given).operation
    async with Transactions(engine).begin() as opened:
        row = OperationRow(opened.connection, operation)
        assert await row.ensure()
        for event in row.request_events:
            await AUDIT.append_with_commit(opened, event)


@pytest.mark.parametrize(
    "changes", [{}, {"billingPlan": "Managed Services", "addons": ["ai"]}, {"productCode": "algadesk"}]
)
async def test_a_provisioning_takes_8_round_trips(
    engine: AsyncEngine, database_url: str, changes: Mapping[str, Any]
) -> None:
    warming, counted = request(uuid4(), **changes), request(uuid4(), **changes)
    for given in (warming, counted):
        await record(engine, given)
    async with counted_engine(database_url) as (proxied, trips):
        provisioning = provisioning_on(proxied)
        # The first one connects, and prepares statements that the connection keeps.
        await provisioning.provision_tenant(provision_input(warming))
        before = trips.count
        await provisioning.provision_tenant(provision_input(counted))
        assert 0 < trips.count - before <= MAX_OF_WORKER


@pytest.mark.parametrize("seller", ["stripe", "apple"])
async def test_a_subscription_takes_one_round_trip_more(
    engine: AsyncEngine, database: asyncpg.Connection, database_url: str, seller: str
) -> None:
    management = await insert_management_tenant(database)
    warming, counted = (subscribed(management) if seller == "stripe" else bought_in_an_app() for _ in range(2))
    for given in (warming, counted):
        await record(engine, given)
    async with counted_engine(database_url) as (proxied, trips):
        provisioning = provisioning_on(proxied, billing_tenant=management.tenant_id)
        await provisioning.provision_tenant(provision_input(warming))
        before = trips.count
        await provisioning.provision_tenant(provision_input(counted))
        assert 0 < trips.count - before <= MAX_OF_WORKER + 1


@ON_ONE_SHAPE
async def test_rows_of_further_tables_take_no_further_round_trip(
    engine: AsyncEngine, database_url: str, tmp_path: Path
) -> None:
    rows = (
        "rows:\n  tag_definitions:\n    columns: {tag_id: uuid, tag_text: text, tagged_type: text}\n"
        "    rows: {'1': {tag_id: '@(tag_definitions/1)', tag_text: new, tagged_type: client}}\n"
    )
    (tmp_path / "psa.yaml").write_text((BUILT_IN / "psa.yaml").read_text() + rows)
    taken = []
    async with counted_engine(database_url) as (proxied, trips):
        for blueprints in (load_blueprints(), load_blueprints(tmp_path)):
            activities = ProvisioningActivities(proxied, blueprints, PasswordHasher("test-nextauth-secret"), AUDIT)
            for _ in range(2):
                given = request(uuid4())
                await record(engine, given)
                before = trips.count
                await activities.provision_tenant(provision_input(given))
            taken.append(trips.count - before)
    assert taken[0] == taken[1]


@ON_ONE_SHAPE
async def test_events_take_no_further_round_trip(database: asyncpg.Connection, database_url: str) -> None:
    taken = []
    async with counted_engine(database_url) as (proxied, trips):
        provisioning = provisioning_on(proxied)

        async def measure() -> None:
            for _ in range(2):
                given = request(uuid4())
                before = trips.count
                await record(proxied, given)
                await provisioning.provision_tenant(provision_input(given))
            taken.append(trips.count - before)

        await measure()
        await database.execute(
            "INSERT INTO alga_tenants.webhooks (webhook_id, url) VALUES (gen_random_uuid(), 'https://example.com')"
        )
        try:
            await measure()
        finally:
            await database.execute("DELETE FROM alga_tenants.webhooks")
    assert await database.fetchval("SELECT count(*) FROM alga_tenants.events") >= 3
    assert taken[0] == taken[1]


async def test_the_gateway_records_an_operation_in_4_round_trips(database_url: str) -> None:
    async with counted_engine(database_url, pre_ping=True) as (proxied, trips):
        taken = []
        for _ in range(3):
            before = trips.count
            await record(proxied, request(uuid4()))
            taken.append(trips.count - before)
    assert taken[-1] <= MAX_OF_GATEWAY


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
        try:
            yield engine, trips
        finally:
            await engine.dispose()
