"""What the overview shows, on a real database and without Temporal."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.recorder import audit_trail
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.database import gateway_engine
from app.embedded.postgres import EmbeddedPostgres
from app.gateway.console.overview.overview import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    TEMPORAL_AWAY,
    WAITS,
    Overview,
)
from app.gateway.operations.lookup import OperationLookup
from app.gateway.readiness import Readiness
from app.settings import Settings
from app.temporal.client import connect
from app.temporal.operations import TemporalOperations
from app.temporal.task_queue import TaskQueue
from tests.app.gateway.conftest import as_gateway
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

OPERATOR = Caller("key:operator", "operator", frozenset(Scope))


@pytest.fixture
def own_settings(new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres) -> Settings:
    """An empty database, and an address of Temporal at which nothing listens."""
    url = new_database(migrated_template)
    return Settings(
        database_url=SecretStr(as_gateway(postgres, url)),
        admin_database_url=SecretStr(url),
        temporal_address="127.0.0.1:1",
        nextauth_secret=SecretStr("test-nextauth-secret"),
    )


@pytest.fixture
async def engine(own_settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = gateway_engine(own_settings)
    yield engine
    await engine.dispose()


@pytest.fixture
async def tables(own_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(own_settings.admin_database_url.get_secret_value())
    yield connection
    await connection.close()


@pytest.fixture
async def overview(engine: AsyncEngine, own_settings: Settings) -> Overview:
    client = await connect(own_settings, lazy=True)
    operations, queue = TemporalOperations(client, own_settings), TaskQueue(client, own_settings)
    lookup = OperationLookup(engine, operations, audit_trail(own_settings))
    return Overview(engine, Readiness(engine, operations, queue), lookup)


async def add(database: asyncpg.Connection, status: str, *, age: timedelta, tenant_id: UUID | None = None) -> None:
    await database.execute(
        "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, tenant_id, status, started_at, finished_at)"
        " VALUES ($1, 'run', 'tenant_creation', $2, $3, $4, CASE WHEN $3 IN ('completed', 'failed') THEN now() END)",
        f"{status}-{uuid4()}",
        tenant_id or uuid4(),
        status,
        datetime.now(UTC) - age,
    )


async def test_operations_are_counted_for_a_day_and_a_month(overview: Overview, tables: asyncpg.Connection) -> None:
    for status in ("completed", "failed", "running", "needs_attention"):
        await add(tables, status, age=timedelta(minutes=1))
        await add(tables, status, age=timedelta(days=2))
    await add(tables, "completed", age=timedelta(days=31))

    look = await overview.look(OPERATOR)

    day = [group.count(look.present.counts) for group in (COMPLETED, FAILED, IN_PROGRESS, WAITS)]
    month = [group.count(look.history.counts) for group in (COMPLETED, FAILED, IN_PROGRESS, WAITS)]
    assert (day, month) == ([1, 1, 1, 1], [2, 2, 2, 2])
    assert [operation.status for operation in look.present.waiting] == ["needs_attention"] * 2
    assert len(look.present.recent) == 9
    assert [durations.number for durations in look.history.durations] == [2]
    assert look.health == (TEMPORAL_AWAY,)


async def test_a_caller_that_is_bound_to_a_tenant_sees_that_one_alone(
    overview: Overview, tables: asyncpg.Connection
) -> None:
    await add(tables, "needs_attention", age=timedelta(minutes=1))
    other = Caller("key:other", "other", frozenset(Scope), tenant_id=uuid4())
    await add(tables, "completed", age=timedelta(minutes=1), tenant_id=other.tenant_id)
    await tables.execute(
        "INSERT INTO alga_tenants.webhooks (webhook_id, url, paused_at) VALUES ($1, 'https://example.com', now())",
        uuid4(),
    )

    of_all, of_other = await overview.look(OPERATOR), await overview.look(other)

    assert (len(of_all.present.recent), len(of_all.present.waiting), len(of_all.webhooks)) == (2, 1, 1)
    assert (len(of_other.present.recent), len(of_other.present.waiting), len(of_other.webhooks)) == (1, 0, 0)
    assert of_other.history.counts == {"completed": 1}


async def test_many_viewers_read_no_more_than_one(overview: Overview, engine: AsyncEngine) -> None:
    sent: list[str] = []
    event.listen(
        engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _k, statement, _p, _x, _m: sent.append(statement),
    )
    await overview.look(OPERATOR)
    of_one = len(sent)

    await asyncio.gather(*(overview.look(OPERATOR) for _ in range(50)))

    assert of_one == 7
    # A machine may be so slow that the first look is old by now.
    assert len(sent) <= 3 * of_one
