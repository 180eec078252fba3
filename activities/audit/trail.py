"""The audit trail: appends events to a chain of keyed hashes, in the transaction of the change that they record."""

import hmac
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import structlog
from sqlalchemy import LargeBinary, Text, bindparam, func, make_url, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import Action, AuditEvent, Outcome, canonical
from activities.database.own_tables import audit_events, audit_head
from activities.database.transactions import Statement, Transaction

NO_HASH = bytes(32)
TRAIL_CALLER = "audit"
"""The caller in events that the trail itself adds."""
HEAD_FORGED = "head-forged"

_DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
_TYPES = {column.name: column.type.compile(_DIALECT) for column in audit_events.columns}

# One statement for all rows and the head. The rows are one JSON document, because arrays are slow on Citus.
_APPEND = text(
    f"""
    WITH written AS (
        INSERT INTO alga_tenants.audit_events ({", ".join(_TYPES)})
        SELECT {", ".join(_TYPES)} FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS event(
            {", ".join(f"{name} {kind}" for name, kind in _TYPES.items())}
        )
    )
    UPDATE alga_tenants.audit_head SET sequence = :sequence, hash = :hash, seal = :seal WHERE is_only
    """  # noqa: S608 - built from constants of this module and placeholders only
).bindparams(
    bindparam("events", type_=Text), bindparam("hash", type_=LargeBinary), bindparam("seal", type_=LargeBinary)
)

_LOCK_HEAD = select(
    audit_head.c.sequence,
    audit_head.c.hash,
    audit_head.c.seal,
    select(func.max(audit_events.c.sequence)).scalar_subquery().label("last"),
).with_for_update(of=audit_head)

log = structlog.get_logger(__name__)


class Head(NamedTuple):
    """The last event's number and hash. The seal is None before the first event, and in a head noted elsewhere."""

    sequence: int
    hash: bytes
    seal: bytes | None = None


INITIAL_HEAD = Head(0, NO_HASH)
"""The head as the migration writes it."""


class AuditTrail:
    """Writes events. Only the owner of the key can compute valid hashes and seals."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def append(self, connection: AsyncConnection, *events: AuditEvent) -> list[Head]:
        """Append events in the caller's transaction, and return the number and hash of each.

        Call it last, because other writers wait for the commit.

        If the head was forged or lost, an additional event records that permanently, and the chain continues after
        the last row. Otherwise the next event would give the forgery a valid seal.
        """
        if not events:
            return []
        parameters, places = await self._chain(connection, events)
        await connection.execute(_APPEND, parameters)
        return places

    async def append_with_commit(self, opened: Transaction, event: AuditEvent) -> None:
        """Append an event in the round trip of the commit. This needs one round trip less than `append`."""
        parameters, _ = await self._chain(opened.connection, [event])
        opened.run_with_commit(Statement(_APPEND, parameters))

    async def _chain(
        self, connection: AsyncConnection, events: Sequence[AuditEvent]
    ) -> tuple[dict[str, Any], list[Head]]:
        """Lock the head, and return the parameters of `_APPEND` for events that follow it, and their places."""
        head, forgery = await self._lock_valid_head(connection)
        sequence, last_hash, rows, places = head.sequence, head.hash, [], list[Head]()
        for event in (*forgery, *events):
            sequence += 1
            values = event.values()
            previous_hash, last_hash = last_hash, self.hash_of(values, sequence, last_hash)
            rows.append(
                {
                    **values,
                    # Without the Z, PostgreSQL would use the session's time zone.
                    "occurred_at": f"{values['occurred_at']}Z",
                    "sequence": sequence,
                    "previous_hash": f"\\x{previous_hash.hex()}",
                    "hash": f"\\x{last_hash.hex()}",
                }
            )
            places.append(Head(sequence, last_hash))
        seal = self.seal_of(sequence, last_hash)
        parameters = {"events": json.dumps(rows), "sequence": sequence, "hash": last_hash, "seal": seal}
        return parameters, places[len(forgery) :]

    async def _lock_valid_head(self, connection: AsyncConnection) -> tuple[Head, list[AuditEvent]]:
        """Lock and return the head. If it is invalid, return what it should be, and an event about that."""
        head, is_last = await self._lock_head(connection)
        if head is not None and is_last and self.is_sealed(head):
            return head, []
        newest = await self._newest(connection)
        if head == newest == INITIAL_HEAD:
            return newest, []
        found = f"{head.sequence}:{head.hash.hex()}" if head is not None else None
        log.error(
            "the head of the audit trail was forged or sealed with another key, or events were inserted", found=found
        )
        forgery = AuditEvent(
            action=Action.AUDIT_BREAK,
            outcome=Outcome.FAILED,
            caller=TRAIL_CALLER,
            reason=HEAD_FORGED,
            details={"found": found},
        )
        return newest, [forgery]

    async def append_once(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> None:
        """Append the events that are not in the trail yet; see `append`."""
        await self.append(connection, *await self.unrecorded(connection, events))

    async def unrecorded(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> list[AuditEvent]:
        """Return the events that are not in the trail. They may be there after a commit whose result was lost."""
        if not events:
            return []
        ids = [event.id for event in events]
        recorded = set(await connection.scalars(select(audit_events.c.id).where(audit_events.c.id.in_(ids))))
        return [event for event in events if event.id not in recorded]

    def hash_of(self, values: Mapping[str, Any], sequence: int, previous_hash: bytes) -> bytes:
        """Return the hash of an event, given by its `values`, at its place in the chain."""
        return self._mac(b"event", canonical(values, sequence, previous_hash))

    def seal_of(self, sequence: int, last_hash: bytes) -> bytes:
        """Return the seal of a head."""
        return self._mac(b"head", b"%d %s" % (sequence, last_hash.hex().encode()))

    def is_sealed(self, head: Head) -> bool:
        """Return whether the head's seal was made with our key."""
        return head.seal is not None and hmac.compare_digest(head.seal, self.seal_of(head.sequence, head.hash))

    def _mac(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\n" + content, sha256)

    async def _lock_head(self, connection: AsyncConnection) -> tuple[Head | None, bool]:
        """Lock and return the head, and whether there is no event beyond it, whose number would conflict."""
        row = (await connection.execute(_LOCK_HEAD)).one_or_none()
        if row is None:
            return None, False
        # Events that were committed while we waited for the lock are in the head, but may be missing in `last`.
        return Head(row.sequence, row.hash, row.seal), (row.last or 0) <= row.sequence

    async def _newest(self, connection: AsyncConnection) -> Head:
        """Lock the head, created if it was lost, and return what it should be according to the rows."""
        await connection.execute(
            postgresql.insert(audit_head).values(sequence=0, hash=NO_HASH).on_conflict_do_nothing()
        )
        await self._lock_head(connection)
        columns = audit_events.c
        row = (
            await connection.execute(
                select(columns.sequence, columns.hash).order_by(columns.sequence.desc()).limit(1)
            )
        ).one_or_none()
        return Head(row.sequence, row.hash) if row is not None else INITIAL_HEAD
