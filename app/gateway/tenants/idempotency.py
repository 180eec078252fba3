"""The `idempotency_keys` table: which request, and so which operation, a caller's Idempotency-Key stands for."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.own_tables import idempotency_keys


@dataclass(frozen=True)
class Claim:
    """What a key stands for; the key itself is kept as its SHA-256 only."""

    caller: str
    key_digest: str
    request_fingerprint: str
    workflow_id: str
    tenant_id: UUID


async def claim_key(connection: AsyncConnection, wanted: Claim) -> tuple[Claim, bool]:
    """Bind the key to a request unless it is bound already; returns what it is bound to, and whether that is new.

    Of many at once one wins, and the others wait for it to commit and see what it bound.
    """
    inserted = await connection.execute(
        postgres_insert(idempotency_keys)
        .values(
            caller=wanted.caller,
            key_digest=wanted.key_digest,
            request_fingerprint=wanted.request_fingerprint,
            workflow_id=wanted.workflow_id,
            tenant_id=wanted.tenant_id,
        )
        .on_conflict_do_nothing()
    )
    columns = idempotency_keys.c
    row = (
        await connection.execute(
            select(columns.request_fingerprint, columns.workflow_id, columns.tenant_id).where(
                columns.caller == wanted.caller, columns.key_digest == wanted.key_digest
            )
        )
    ).one()
    claim = Claim(
        caller=wanted.caller,
        key_digest=wanted.key_digest,
        request_fingerprint=row.request_fingerprint,
        workflow_id=row.workflow_id,
        tenant_id=row.tenant_id,
    )
    return claim, inserted.rowcount == 1
