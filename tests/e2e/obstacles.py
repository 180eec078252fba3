"""Obstacles to one tenant's rows in the database: triggers that fail, or wait until released.

They are rows of a table, so that placing and lifting them takes no lock that a running transaction could hold.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from tests.support.waiting import wait_until
from workflows.tenants.steps import APPLY_BLUEPRINT, COMPLETE, CREATE_ADMIN_USER, CREATE_TENANT, SET_UP_DATA

# A table that each part of the transaction writes late, so that earlier work can get lost.
LAST_TABLE = {
    CREATE_TENANT: "tenant_companies",
    APPLY_BLUEPRINT: "role_permissions",
    CREATE_ADMIN_USER: "user_roles",
    SET_UP_DATA: "tenant_settings",
}
# The insert of our own row, which gateway and worker try both; its subject is the name of the tenant.
RECORD = "record"
# The last part writes our own row, in the round trip that commits.
PARTS = (*LAST_TABLE, COMPLETE)
LOCK = 4_711
PATIENCE = 60.0

# The gateway's role runs the triggers, too, and has no rights on their table.
OBSTACLES = """
CREATE SCHEMA obstacles;
CREATE TABLE obstacles.placed (subject text NOT NULL, place text NOT NULL, body text NOT NULL);
CREATE FUNCTION obstacles.meet(passer text, passed text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE statements text;
    BEGIN
        FOR statements IN SELECT body FROM obstacles.placed WHERE subject = passer AND place = passed LOOP
            EXECUTE format('DO %L', format('BEGIN %s; END', statements));
        END LOOP;
    END $$;
CREATE FUNCTION obstacles.met_by_step() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM obstacles.meet(tenant::text, TG_ARGV[0]) FROM (SELECT DISTINCT tenant FROM written) w;
        RETURN NULL;
    END $$;
CREATE FUNCTION obstacles.met_by_operation() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM obstacles.meet(NEW.tenant_id::text, 'complete'); RETURN NULL; END $$;
CREATE FUNCTION obstacles.met_by_record() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM obstacles.meet(NEW.tenant_name, 'record'); RETURN NEW; END $$;
GRANT USAGE ON SCHEMA obstacles TO PUBLIC;
CREATE TRIGGER obstacle AFTER UPDATE ON alga_tenants.operations FOR EACH ROW
    WHEN (OLD.committed_at IS NULL AND NEW.committed_at IS NOT NULL)
    EXECUTE FUNCTION obstacles.met_by_operation();
CREATE TRIGGER obstacle_to_record BEFORE INSERT ON alga_tenants.operations FOR EACH ROW
    EXECUTE FUNCTION obstacles.met_by_record();
"""
ON_TABLE = """
CREATE TRIGGER obstacle AFTER INSERT ON public.{table} REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION obstacles.met_by_step('{step}');
"""

FINAL_ERROR = "RAISE EXCEPTION 'refused by the test' USING ERRCODE = 'check_violation'"
PASSING_ERROR = "RAISE EXCEPTION 'it will pass' USING ERRCODE = 'serialization_failure'"
LASTING_ERROR = "RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'"
WAIT = f"PERFORM pg_advisory_xact_lock({LOCK}, hashtext('{{tenant_id}}'))"


async def make_obstacles_possible(connection: asyncpg.Connection) -> None:
    """Add the triggers, without obstacles yet, to a database that has our schema."""
    await connection.execute(OBSTACLES)
    for step, table in LAST_TABLE.items():
        await connection.execute(ON_TABLE.format(table=table, step=step))


async def place(connection: asyncpg.Connection, step: str, tenant_id: UUID | str, body: str) -> None:
    """Run PL/pgSQL whenever the given step writes the given tenant's rows."""
    await connection.execute("INSERT INTO obstacles.placed VALUES ($1, $2, $3)", str(tenant_id), step, body)


async def lift(connection: asyncpg.Connection, tenant_id: UUID | str) -> None:
    """Remove the tenant's obstacles."""
    await connection.execute("DELETE FROM obstacles.placed WHERE subject = $1", str(tenant_id))


@asynccontextmanager
async def obstacle(connection: asyncpg.Connection, step: str, tenant_id: UUID, body: str) -> AsyncIterator[None]:
    """Run PL/pgSQL whenever the given step writes the given tenant's rows, until the end of the block."""
    await place(connection, step, tenant_id, body)
    try:
        yield
    finally:
        await lift(connection, tenant_id)


@asynccontextmanager
async def failing(connection: asyncpg.Connection, step: str, tenant_id: UUID) -> AsyncIterator[None]:
    """Make the step fail for good, as a violated constraint does."""
    async with obstacle(connection, step, tenant_id, FINAL_ERROR):
        yield


@asynccontextmanager
async def waiting(
    connection: asyncpg.Connection, step: str, tenant_id: UUID | str, then: str = "NULL"
) -> AsyncIterator["Gate"]:
    """Make a step wait for the gate in the middle of the transaction, and then run PL/pgSQL."""
    gate = await close_gate(connection, step, tenant_id, then)
    try:
        yield gate
    finally:
        await lift(connection, tenant_id)
        await gate.open()


async def close_gate(connection: asyncpg.Connection, step: str, tenant_id: UUID | str, then: str = "NULL") -> "Gate":
    """Close a gate until it is opened or its connection ends, and place an obstacle that stays."""
    gate = Gate(connection, tenant_id)
    await gate.close()
    await place(connection, step, tenant_id, f"{WAIT.format(tenant_id=tenant_id)}; {then}")
    return gate


class Gate:
    """The gate at which a step of one tenant waits while the connection keeps it closed."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID | str) -> None:
        self._connection = connection
        self._key = str(tenant_id)
        self._closed = False

    async def close(self) -> None:
        """Close the gate."""
        await self._connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", LOCK, self._key)
        self._closed = True

    async def reached(self) -> None:
        """Return once the step waits at the gate."""
        await wait_until(self.is_reached, timeout=PATIENCE, every=0.02)

    async def open(self) -> None:
        """Let the step continue."""
        if self._closed:
            self._closed = False
            await self._connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", LOCK, self._key)

    async def is_reached(self) -> bool:
        """Return whether the step waits at the gate."""
        query = """
            SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND classid = $1::integer::oid AND objid = hashtext($2)::oid)
        """
        return bool(await self._connection.fetchval(query, LOCK, self._key))


async def blocked(connection: asyncpg.Connection, holder: int, *, backends: int = 1, application: str = "") -> None:
    """Return once that many backends of the application wait for a lock of the backend `holder`.

    Needs another connection than the holder's, because a transaction keeps its view of other backends.
    """
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE $1 = ANY (pg_blocking_pids(pid)) AND starts_with(application_name, $2)
    """

    async def is_blocked() -> bool:
        return bool(await connection.fetchval(query, holder, application) >= backends)

    await wait_until(is_blocked, timeout=PATIENCE, every=0.02)
