"""An audit trail in a database of its own, for tests that write to it or tamper with it."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent, Outcome
from activities.audit.trail import AuditTrail, Head
from activities.database.engines import create_engine
from activities.database.transactions import Transactions
from app.audit.verification import Report, verify
from tests.activities.conftest import sqlalchemy_url
from tests.support.audit import AUDIT

OTHER_TRAIL = AuditTrail(b"a made-up key")
TENANT = UUID("11111111-2222-4333-8444-555555555555")


def event(number: int = 0, **fields: Any) -> AuditEvent:
    """Return an event with all fields set."""
    given = {
        "action": Action.TENANT_CREATE,
        "outcome": Outcome.ACCEPTED,
        "caller": "key:tests",
        "on_behalf_of": "Jane Döe 🙂",
        "workflow_id": f"tenant-creation-{number}",
        "tenant_id": TENANT,
        "subject": "Qm3ZxT8bLw2K",
        "reason": "because",
        "request_id": f"request-{number}",
        "address": "192.0.2.1",
        "method": "POST",
        "path": "/tenants",
        "details": {"number": number, "nested": [True, None, {"ü": "\u2028"}]},
        **fields,
    }
    return AuditEvent(**given)


def audit_engine(url: str, pool_size: int = 5, statement_timeout: float = 8) -> AsyncEngine:
    return create_engine(
        sqlalchemy_url(url), application_name="tests", pool_size=pool_size, statement_timeout=statement_timeout
    )


async def append(engine: AsyncEngine, *events: AuditEvent, trail: AuditTrail = AUDIT) -> None:
    """Append each event in its own transaction."""
    for one in events:
        async with engine.begin() as connection:
            await trail.append(connection, one)


async def append_with_commit(engine: AsyncEngine, *events: AuditEvent) -> None:
    """Append the events in fewer round trips."""
    for one in events:
        async with Transactions(engine).begin() as opened:
            await AUDIT.append_with_commit(opened, one)


async def verified(engine: AsyncEngine, noted: Head | None = None, trail: AuditTrail = AUDIT) -> Report:
    async with engine.connect() as connection:
        return await verify(connection, trail, noted=noted)


async def append_at_once(url: str, writers: int, each: int, first: int = 0) -> None:
    """Append events over several concurrent connections."""
    engine = audit_engine(url, pool_size=writers, statement_timeout=60)
    starts = range(first, first + writers * each, each)
    try:
        await asyncio.gather(*(append(engine, *(event(start + n) for n in range(each))) for start in starts))
    finally:
        await engine.dispose()


def append_in_process(url: str, writers: int, each: int, first: int) -> None:
    """Run `append_at_once` in another process."""
    asyncio.run(append_at_once(url, writers, each, first))


@dataclass
class Tampering:
    """An attacker who owns the database but does not have the key. `restore` undoes all changes."""

    database: asyncpg.Connection

    async def begin(self) -> None:
        """Disable the triggers, and back up the trail."""
        for table in ("audit_events", "audit_head"):
            await self.database.execute(f"ALTER TABLE alga_tenants.{table} DISABLE TRIGGER USER")
            await self.database.execute(f"CREATE TABLE public.{table} AS TABLE alga_tenants.{table}")
        # Sequences may be duplicated for a moment.
        await self.database.execute("ALTER TABLE alga_tenants.audit_events DROP CONSTRAINT audit_events_pkey")
        await self.database.execute("DROP INDEX alga_tenants.audit_events_id_idx")

    async def restore(self) -> None:
        for table in ("audit_events", "audit_head"):
            await self.database.execute(f"DELETE FROM alga_tenants.{table}")  # noqa: S608 - named above
            await self.database.execute(f"INSERT INTO alga_tenants.{table} TABLE public.{table}")

    async def rows(self) -> tuple[list[Any], list[Any]]:
        """Return all events and the head as they are stored."""
        return (
            await self.database.fetch("SELECT * FROM alga_tenants.audit_events ORDER BY sequence, hash"),
            await self.database.fetch("SELECT * FROM alga_tenants.audit_head"),
        )

    async def run(self, statement: str, *values: Any) -> None:
        await self.database.execute(statement, *values)

    async def change(self, column: str, sequence: int) -> None:
        """Change one column of an event."""
        new = {
            "uuid": f"md5(coalesce({column}::text, ''))::uuid",
            "timestamp with time zone": f"{column} + interval '1 microsecond'",
            "bigint": f"{column} + 1000",
            "integer": f"{column} + 1",
            "jsonb": f"{column} || '{{\"number\": 77}}'",
            "bytea": f"set_byte({column}, 5, get_byte({column}, 5) # 1)",
            "text": f"{column} || '.'" if column != "outcome" else "'denied'",
        }[await self._type(column)]
        await self._set(column, new, sequence)

    async def empty(self, column: str, sequence: int) -> None:
        """Set one column of an event to null."""
        await self._set(column, "NULL", sequence)

    async def delete(self, first: int, last: int) -> None:
        await self.run("DELETE FROM alga_tenants.audit_events WHERE sequence BETWEEN $1 AND $2", first, last)

    async def swap(self, one: int, other: int) -> None:
        await self.run(
            "UPDATE alga_tenants.audit_events SET sequence = $1::bigint + $2 - sequence WHERE sequence IN ($1, $2)",
            one,
            other,
        )

    async def rehash(self, sequence: int, trail: AuditTrail = OTHER_TRAIL) -> None:
        """Give an event the hash that an attacker without the key can compute."""
        row = dict(
            await self.database.fetchrow("SELECT * FROM alga_tenants.audit_events WHERE sequence = $1", sequence)
        )
        values = {name: str(value) for name, value in row.items()}
        new = trail.hash_of(values, sequence, row["previous_hash"])
        await self.run("UPDATE alga_tenants.audit_events SET hash = $1 WHERE sequence = $2", new, sequence)

    async def copy(self, source: int, to: int) -> None:
        """Insert a copy of an event."""
        columns = "id, occurred_at, action, outcome, caller, on_behalf_of, workflow_id, tenant_id, subject, reason,"
        columns += "request_id, address, method, path, count, details, previous_hash, hash"
        await self.run(
            f"INSERT INTO alga_tenants.audit_events (sequence, {columns})"  # noqa: S608 - named above
            f" SELECT $1, {columns} FROM alga_tenants.audit_events WHERE sequence = $2",
            to,
            source,
        )

    async def _type(self, column: str) -> str:
        found: str = await self.database.fetchval(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = 'alga_tenants.audit_events'::regclass AND attname = $1",
            column,
        )
        return found

    async def _set(self, column: str, value: str, sequence: int) -> None:
        await self.run(
            f"UPDATE alga_tenants.audit_events SET {column} = {value} WHERE sequence = $1",  # noqa: S608 - tests' own
            sequence,
        )
