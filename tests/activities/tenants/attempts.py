"""Pauses, obstructs and stops provisionings, and reads what the database holds after them."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.operations.activities import OperationActivities
from activities.operations.rows import OperationRow, request_cancel
from tests.activities.conftest import closing_input, provision_input
from tests.support.tenants.rows import fingerprints
from tests.support.waiting import wait_until
from workflows.operations.messages import Cancellation, Closure, FailureDetails
from workflows.tenants.request import TenantCreationInput
from workflows.tenants.steps import (
    APPLY_BLUEPRINT,
    COMPLETE,
    CREATE_ADMIN_USER,
    CREATE_TENANT,
    SET_UP_DATA,
)

# A table that each part of the transaction writes, the last one being our own.
WRITTEN = {
    CREATE_TENANT: "public.tenants",
    APPLY_BLUEPRINT: "public.roles",
    CREATE_ADMIN_USER: "public.users",
    SET_UP_DATA: "public.tenant_settings",
    COMPLETE: "alga_tenants.operations",
}
PARTS = list(WRITTEN)
ASKED = Cancellation(reason="a change of mind", by="ada")


async def error_of(call: Awaitable[Any]) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught:
        await call
    return caught.value


def details_of(error: ApplicationError) -> FailureDetails:
    [details] = error.details
    assert isinstance(details, FailureDetails)
    return details


async def operation_row(database: asyncpg.Connection, workflow_id: str) -> asyncpg.Record | None:
    return await database.fetchrow("SELECT * FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)


async def everything(database: asyncpg.Connection) -> tuple[Any, ...]:
    """Return fingerprints of all rows, Alga's and ours."""
    ours = [
        await database.fetchval(f"SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM alga_tenants.{table} t")  # noqa: S608 - names of ours
        for table in ("operations", "audit_events", "audit_head")
    ]
    return (await fingerprints(database), *ours)


@asynccontextmanager
async def obstacle(database: asyncpg.Connection, table: str, do: str) -> AsyncIterator[None]:
    """Run PL/pgSQL before each row that is written to the table."""
    when = "UPDATE" if table.startswith("alga_tenants.") else "INSERT"
    await database.execute(
        f"CREATE FUNCTION public.in_the_way() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN {do}; RETURN NEW; END $$;"
        f" CREATE TRIGGER in_the_way BEFORE {when} ON {table} FOR EACH ROW EXECUTE FUNCTION public.in_the_way()"
    )
    try:
        yield
    finally:
        await database.execute(f"DROP TRIGGER in_the_way ON {table}; DROP FUNCTION public.in_the_way()")


class Pause:
    """Holds a provisioning inside a part of its transaction, by a lock that a trigger waits for."""

    KEY = 4711
    WAIT = f"PERFORM pg_advisory_xact_lock({KEY})"

    def __init__(self, database: asyncpg.Connection) -> None:
        self._database = database

    async def until_reached(self) -> None:
        """Wait until a transaction waits for the lock."""

        async def waits() -> bool:
            query = (
                "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND NOT granted AND objid = $1 AND datname = current_database())"
            )
            return bool(await self._database.fetchval(query, self.KEY))

        await wait_until(waits, timeout=20, every=0.005)

    async def release(self) -> None:
        await self._database.execute("SELECT pg_advisory_unlock($1)", self.KEY)


@asynccontextmanager
async def paused_in(database: asyncpg.Connection, part: str) -> AsyncIterator[Pause]:
    async with obstacle(database, WRITTEN[part], Pause.WAIT):
        await database.execute("SELECT pg_advisory_lock($1)", Pause.KEY)
        pause = Pause(database)
        try:
            yield pause
        finally:
            await database.execute("SELECT pg_advisory_unlock_all()")


async def record(engine: AsyncEngine, given: TenantCreationInput, **changes: Any) -> None:
    """Write the operation's row as the gateway does."""
    async with engine.begin() as connection:
        assert await OperationRow(connection, provision_input(given, **changes).operation).insert()


async def close(closing: OperationActivities, given: TenantCreationInput) -> Closure:
    return await closing.close_operation(closing_input(given))


async def cancel(engine: AsyncEngine, given: TenantCreationInput) -> None:
    operation = provision_input(given).operation
    async with engine.begin() as connection:
        await request_cancel(connection, operation.workflow_id, operation.run_id, ASKED)


async def waiting(database: asyncpg.Connection, number: int) -> bool:
    """Whether that many sessions of the database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(await database.fetchval(query)) >= number


def admin(email: str) -> dict[str, str]:
    return {"firstName": "Grace", "lastName": "Hopper", "passwordHash": "salt:key", "email": email}
