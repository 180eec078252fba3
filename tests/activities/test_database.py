import pytest
from sqlalchemy import bindparam, make_url, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError, StatementError

from activities.database import create_engine
from activities.errors import to_application_error
from tests.support.databases import NewDatabase

pytestmark = pytest.mark.anyio

SECOND = 1.0


async def test_after_a_read_only_failover_new_connections_are_made(new_database: NewDatabase) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=2, statement_timeout=5)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE things (id integer)"))
            await connection.execute(text("SET SESSION default_transaction_read_only = on"))
        with pytest.raises(DBAPIError) as caught:
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO things VALUES (1)"))
        assert caught.value.connection_invalidated
        assert not to_application_error(caught.value).non_retryable
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO things VALUES (1)"))
    finally:
        await engine.dispose()


@pytest.mark.parametrize("pgbouncer", [False, True])
async def test_a_statement_is_ended_after_its_time(new_database: NewDatabase, *, pgbouncer: bool) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=SECOND, pgbouncer=pgbouncer)
    try:
        with pytest.raises((DBAPIError, TimeoutError)) as caught:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
        assert not to_application_error(caught.value).non_retryable
    finally:
        await engine.dispose()


async def test_a_statement_that_can_not_be_sent_is_our_own_fault_and_not_the_databases(
    new_database: NewDatabase,
) -> None:
    url = make_url(new_database()).set(drivername="postgresql+asyncpg")
    engine = create_engine(url, application_name="tests", pool_size=1, statement_timeout=5)
    document = bindparam("document", type_=JSONB)
    try:
        with pytest.raises(StatementError) as caught:
            async with engine.begin() as connection:
                await connection.execute(select(document), {"document": {1, 2}})
        assert to_application_error(caught.value).type == "internal-error"
    finally:
        await engine.dispose()
