"""Obstacles that a test puts in the database's way of one tenant: triggers that fail, or that wait to be let go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import anyio.lowlevel
import asyncpg

from workflows.steps import Step

# A table that each step writes late, so that the step has work to lose; the outer steps write our own row only.
LAST_TABLE = {
    Step.INITIALIZING: "alga_tenants.operations",
    Step.CREATING_TENANT: "public.tenant_companies",
    Step.RUNNING_ONBOARDING_SEEDS: "public.role_permissions",
    Step.CREATING_ADMIN_USER: "public.user_roles",
    Step.SETTING_UP_DATA: "public.tenant_settings",
    Step.COMPLETING: "alga_tenants.operations",
}
LOCK = 4_711


@asynccontextmanager
async def obstacle(connection: asyncpg.Connection, step: Step, tenant_id: UUID, body: str) -> AsyncIterator[None]:
    """Run PL/pgSQL when the given step writes the given tenant's rows."""
    table = LAST_TABLE[step]
    own = table.startswith("alga_tenants")
    condition = f"NEW.{'tenant_id' if own else 'tenant'} = '{tenant_id}'"
    if own:
        condition += f" AND NEW.step = '{step}' AND NEW.status IN ('running', 'completed')"
    await connection.execute(
        f"""
        CREATE FUNCTION public.obstacle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$;
        CREATE TRIGGER obstacle AFTER INSERT OR UPDATE ON {table}
            FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION public.obstacle();
        """
    )
    try:
        yield
    finally:
        await connection.execute(f"DROP TRIGGER obstacle ON {table}; DROP FUNCTION public.obstacle()")


@asynccontextmanager
async def failing(connection: asyncpg.Connection, step: Step, tenant_id: UUID) -> AsyncIterator[None]:
    """Make the step fail for good, as a violated constraint does."""
    body = "RAISE EXCEPTION 'refused by the test' USING ERRCODE = '23514'"
    async with obstacle(connection, step, tenant_id, body):
        yield


@asynccontextmanager
async def waiting(connection: asyncpg.Connection, step: Step, tenant_id: UUID) -> AsyncIterator["Gate"]:
    """Make the step wait in the middle of its transaction until the gate is opened."""
    async with obstacle(connection, step, tenant_id, f"PERFORM pg_advisory_xact_lock({LOCK})"):
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        gate = Gate(connection)
        try:
            yield gate
        finally:
            await gate.open()


class Gate:
    """Where a step waits."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._closed = True

    async def reached(self) -> None:
        """Return once the step waits at the gate."""
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"
        with anyio.fail_after(20):
            while not await self._connection.fetchval(query, LOCK):
                await anyio.lowlevel.checkpoint()

    async def open(self) -> None:
        """Let the step go on."""
        if self._closed:
            self._closed = False
            await self._connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
