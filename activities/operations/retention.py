"""Deletes old rows of our own tables: finished operations and what belongs to them, keys, events, expired links."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.event_tables import deliveries, delivery_attempts, events
from activities.database.own_tables import (
    applied_changes,
    cancellations,
    idempotency_keys,
    mails,
    operations,
    sign_in_links,
)

# Small, so that no transaction holds many locks.
BATCH = 1000


@dataclass(frozen=True)
class Retention:
    """How long finished operations, idempotency keys and events are kept."""

    operations: timedelta
    idempotency_keys: timedelta
    events: timedelta


async def prune(engine: AsyncEngine, retention: Retention) -> dict[str, int]:
    """Delete rows past their retention, in batches, and return their number by table.

    A cancellation is deleted after its operation, or once it is as old if there is none, a mail and the id of an
    applied change at the same age. An event is kept until its last delivery is deleted, and a delivery until it has
    ended. The audit trail is never pruned.
    """
    has_operation = exists().where(operations.c.workflow_id == cancellations.c.workflow_id)
    has_delivery = exists().where(deliveries.c.event_id == events.c.event_id)
    oldest_operation = func.now() - retention.operations
    oldest_event = func.now() - retention.events
    old: dict[Table, ColumnElement[bool]] = {
        operations: operations.c.finished_at < oldest_operation,
        cancellations: and_(cancellations.c.requested_at < oldest_operation, ~has_operation),
        mails: mails.c.requested_at < oldest_operation,
        applied_changes: applied_changes.c.applied_at < oldest_operation,
        delivery_attempts: delivery_attempts.c.started_at < oldest_event,
        deliveries: deliveries.c.ended_at < oldest_event,
        events: and_(events.c.occurred_at < oldest_event, ~has_delivery),
        idempotency_keys: idempotency_keys.c.created_at < func.now() - retention.idempotency_keys,
        sign_in_links: sign_in_links.c.expires_at < func.now(),
    }
    return {table.name: await _prune(engine, table, is_old) for table, is_old in old.items()}


async def _prune(engine: AsyncEngine, table: Table, is_old: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key.columns)
    batch = select(*key).where(is_old).limit(BATCH)
    pruned = 0
    while True:
        async with engine.begin() as connection:
            deleted = (await connection.execute(delete(table).where(tuple_(*key).in_(batch)))).rowcount
        pruned += deleted
        if deleted < BATCH:
            return pruned
