"""Deletes what our own tables need no longer: old idempotency keys, finished operations, and cancellations."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Table, delete, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.own_tables import cancellations, idempotency_keys, operations

# Short transactions that never hold many locks.
BATCH = 1000


@dataclass(frozen=True)
class Retention:
    """How long finished operations and idempotency keys are kept."""

    operations: timedelta
    idempotency_keys: timedelta


async def prune(engine: AsyncEngine, retention: Retention) -> dict[str, int]:
    """Delete what is older than it is kept, in batches; returns the number of rows by table.

    Cancellations go with their operation, or if there is none, as old as an operation would. The audit trail is
    never pruned.
    """
    kept_operation = exists().where(operations.c.workflow_id == cancellations.c.workflow_id)
    return {
        operations.name: await _prune(
            engine, operations, operations.c.finished_at < func.now() - retention.operations
        ),
        cancellations.name: await _prune(
            engine, cancellations, cancellations.c.requested_at < func.now() - retention.operations, ~kept_operation
        ),
        idempotency_keys.name: await _prune(
            engine, idempotency_keys, idempotency_keys.c.created_at < func.now() - retention.idempotency_keys
        ),
    }


async def _prune(engine: AsyncEngine, table: Table, *old: ColumnElement[bool]) -> int:
    key = tuple(table.primary_key.columns)
    some = select(*key).where(*old).limit(BATCH)
    pruned = 0
    while True:
        async with engine.begin() as connection:
            deleted = (await connection.execute(delete(table).where(tuple_(*key).in_(some)))).rowcount
        pruned += deleted
        if deleted < BATCH:
            return pruned
