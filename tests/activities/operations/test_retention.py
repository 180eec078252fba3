"""Our own tables are rid of what is older than it is kept, and of nothing else."""

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.operations import retention
from activities.operations.retention import Retention, prune
from tests.activities.audit.audited import append
from tests.activities.audit.audited import event as audit_event

pytestmark = pytest.mark.anyio

KEPT = Retention(operations=timedelta(days=30), idempotency_keys=timedelta(hours=24), events=timedelta(days=7))


async def add_operation(database: asyncpg.Connection, name: str, finished: timedelta | None) -> None:
    """An operation that finished so long ago, or has not finished."""
    await database.execute(
        "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, status, started_at, finished_at)"
        " VALUES ($1, 'run', 'tenant_creation', 'completed', now() - interval '1 year', now() - $2::interval)",
        name,
        finished,
    )


async def add_cancellation(database: asyncpg.Connection, name: str, asked: timedelta) -> None:
    await database.execute(
        "INSERT INTO alga_tenants.cancellations (workflow_id, run_id, requested_at)"
        " VALUES ($1, 'run', now() - $2::interval)",
        name,
        asked,
    )


async def add_key(database: asyncpg.Connection, name: str, made: timedelta) -> None:
    await database.execute(
        "INSERT INTO alga_tenants.idempotency_keys"
        " (caller, key_digest, request_fingerprint, workflow_id, tenant_id, created_at)"
        " VALUES ('caller', $1, 'print', 'workflow', gen_random_uuid(), now() - $2::interval)",
        name,
        made,
    )


async def names(database: asyncpg.Connection, table: str, column: str = "workflow_id") -> set[str]:
    rows = await database.fetch(f"SELECT {column} FROM alga_tenants.{table}")  # noqa: S608 - names of this module
    return {row[0] for row in rows}


async def test_finished_operations_are_pruned_after_their_retention_and_open_ones_never(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    await add_operation(audit_database, "old", KEPT.operations + timedelta(minutes=1))
    await add_operation(audit_database, "young", KEPT.operations - timedelta(minutes=1))
    await add_operation(audit_database, "open", None)
    assert (await prune(audit_engine, KEPT))["operations"] == 1
    assert await names(audit_database, "operations") == {"young", "open"}


async def test_idempotency_keys_are_pruned_after_their_retention(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    await add_key(audit_database, "old", KEPT.idempotency_keys + timedelta(minutes=1))
    await add_key(audit_database, "young", KEPT.idempotency_keys - timedelta(minutes=1))
    assert (await prune(audit_engine, KEPT))["idempotency_keys"] == 1
    assert await names(audit_database, "idempotency_keys", "key_digest") == {"young"}


async def test_mails_are_pruned_at_the_age_of_operations(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for name, age in (("old", timedelta(minutes=1)), ("young", timedelta(minutes=-1))):
        await audit_database.execute(
            "INSERT INTO alga_tenants.mails (id, kind, workflow_id, run_id, tenant_id, user_id, requested_at) VALUES "
            "(gen_random_uuid(), 'a', $1, 'run', gen_random_uuid(), gen_random_uuid(), now() - $2::interval)",
            name,
            KEPT.operations + age,
        )
    assert (await prune(audit_engine, KEPT))["mails"] == 1
    assert await names(audit_database, "mails") == {"young"}


async def test_links_are_pruned_once_they_have_expired(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for name, age in (("expired", timedelta(minutes=1)), ("valid", timedelta(minutes=-1))):
        await audit_database.execute(
            "INSERT INTO alga_tenants.sign_in_links VALUES (sha256($1::text::bytea), $1, now() - $2::interval)",
            name,
            age,
        )
    assert (await prune(audit_engine, KEPT))["sign_in_links"] == 1
    assert await names(audit_database, "sign_in_links", "key_id") == {"valid"}


async def test_a_cancellation_is_pruned_with_its_operation_or_at_its_age(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    long_ago, lately = KEPT.operations + timedelta(minutes=1), KEPT.operations - timedelta(minutes=1)
    await add_operation(audit_database, "gone", long_ago)
    await add_operation(audit_database, "kept", lately)
    await add_operation(audit_database, "open", None)
    for name, asked in (
        ("gone", long_ago),
        ("kept", long_ago),
        ("open", long_ago),
        ("alone", long_ago),
        ("new", lately),
    ):
        await add_cancellation(audit_database, name, asked)
    pruned = await prune(audit_engine, KEPT)
    assert {table: number for table, number in pruned.items() if number} == {"operations": 1, "cancellations": 2}
    assert await names(audit_database, "cancellations") == {"kept", "open", "new"}


async def test_many_rows_are_deleted_in_short_transactions(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    for number in range(25):
        await add_key(audit_database, str(number), timedelta(days=2))
    deleted: list[int] = []

    def note(_connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("DELETE FROM alga_tenants.idempotency_keys"):
            deleted.append(cursor.rowcount)  # type: ignore[attr-defined] # a cursor of the driver

    commits: list[object] = []
    event.listen(audit_engine.sync_engine, "after_cursor_execute", note)
    event.listen(audit_engine.sync_engine, "commit", commits.append)
    pruned = await prune(audit_engine, KEPT)
    assert pruned["idempotency_keys"] == 25
    assert deleted == [10, 10, 5]
    assert len(commits) == len(deleted) + len(pruned) - 1


async def test_the_audit_trail_is_left_alone(audit_engine: AsyncEngine, audit_database: asyncpg.Connection) -> None:
    await append(audit_engine, audit_event(1))
    await add_operation(audit_database, "old", timedelta(days=365))
    trail = "SELECT md5(string_agg(t::text, ',')) FROM alga_tenants.audit_events t"
    before = await audit_database.fetchval(trail)
    pruned = await prune(audit_engine, Retention(timedelta(0), timedelta(0), timedelta(0)))
    assert {table: number for table, number in pruned.items() if number} == {"operations": 1}
    assert await audit_database.fetchval(trail) == before


async def test_events_are_kept_until_their_last_delivery_has_ended_and_is_old(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    old, young = KEPT.events + timedelta(minutes=1), KEPT.events - timedelta(minutes=1)
    for name, occurred, ended in (
        ("delivered", old, old),
        ("delivered late", old, young),
        ("waiting", old, None),
        ("young", young, young),
    ):
        await audit_database.execute(
            "WITH event AS ("
            "  INSERT INTO alga_tenants.events (event_id, type, occurred_at, data)"
            "  VALUES (gen_random_uuid(), $1, now() - $2::interval, '{}') RETURNING event_id"
            "), delivery AS ("
            "  INSERT INTO alga_tenants.deliveries (webhook_id, event_id, ended_at)"
            "  SELECT gen_random_uuid(), event_id, now() - $3::interval FROM event RETURNING webhook_id, event_id"
            ") INSERT INTO alga_tenants.delivery_attempts (webhook_id, event_id, attempt, started_at, milliseconds)"
            " SELECT webhook_id, event_id, 1, now() - $2::interval, 5 FROM delivery",
            name,
            occurred,
            ended,
        )
    pruned = await prune(audit_engine, KEPT)
    assert await names(audit_database, "events", "type") == {"delivered late", "waiting", "young"}
    assert (pruned["deliveries"], pruned["delivery_attempts"]) == (1, 3)


async def test_ids_of_applied_changes_are_pruned_at_the_age_of_operations(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for name, age in (("old", timedelta(minutes=1)), ("young", timedelta(minutes=-1))):
        await audit_database.execute(
            "INSERT INTO alga_tenants.applied_changes (tenant_id, event_id, kind, content, workflow_id, run_id,"
            " applied_at) VALUES (gen_random_uuid(), $1, 'a', '{}', 'a', 'run', now() - $2::interval)",
            name,
            KEPT.operations + age,
        )
    assert (await prune(audit_engine, KEPT))["applied_changes"] == 1
    assert await names(audit_database, "applied_changes", "event_id") == {"young"}
