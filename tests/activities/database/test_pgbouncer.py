"""The product's engine behind a real PgBouncer in transaction mode."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.embedded.postgres import EmbeddedPostgres
from tests.activities.database.provoking.provoked_by_pgbouncer import LENIENT, PGBOUNCER, STRICT, UNDECLARED
from tests.activities.database.provoking.provoked_by_statements import STATEMENTS
from tests.activities.database.provoking.provoking import (
    PooledStage,
    Provocation,
    Stage,
    assert_reported_as_the_table_says,
    each,
)
from tests.support.servers.databases import NewDatabase
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.proxy import Proxy

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture(scope="module")
def bouncer(server_folder: Path, postgres: EmbeddedPostgres) -> Iterator[PgBouncer]:
    with PgBouncer(server_folder / "pgbouncer", postgres, default_pool_size="3") as bouncer:
        yield bouncer


@pytest.fixture
async def wire(postgres: EmbeddedPostgres) -> AsyncIterator[Proxy]:
    async with Proxy(postgres.port) as proxy:
        yield proxy


@each(*(provocation for provocation in STATEMENTS.all if provocation.pooled))
async def test_an_error_of_the_server_is_reported_as_without_pgbouncer(
    provocation: Provocation[Stage],
    postgres: EmbeddedPostgres,
    database: str,
    bouncer: PgBouncer,
    wire: Proxy,
) -> None:
    async with PooledStage(postgres, database, bouncer, wire) as stage:
        await assert_reported_as_the_table_says(provocation, stage)


@each(*PGBOUNCER.all, *UNDECLARED.all)
async def test_an_error_of_pgbouncer_is_reported_as_the_table_says(
    provocation: Provocation[PooledStage],
    postgres: EmbeddedPostgres,
    database: str,
    server_folder: Path,
    wire: Proxy,
) -> None:
    settings = LENIENT if provocation.line in {"26000", "42P05"} else STRICT
    with PgBouncer(server_folder / uuid4().hex, postgres, server_port=wire.port, **settings) as bouncer:
        async with PooledStage(postgres, database, bouncer, wire) as stage:
            await assert_reported_as_the_table_says(provocation, stage)
