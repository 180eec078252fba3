"""The audit trail: adds events to a chain of keyed hashes, in the transaction of what they tell about."""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import structlog
from sqlalchemy import LargeBinary, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import FIELDS, Action, AuditEvent, Outcome, canonical
from activities.database.own_tables import audit_events, audit_head
from activities.database.transactions import Transaction, script_literal

NO_HASH = bytes(32)
ITSELF = "audit"
HEAD_FORGED = "head-forged"

_COLUMNS = ("sequence", *FIELDS, "previous_hash", "hash")
_TYPES = {
    "sequence": "bigint",
    "id": "uuid",
    "occurred_at": "timestamptz",
    "tenant_id": "uuid",
    "count": "integer",
    "details": "jsonb",
    "previous_hash": "bytea",
    "hash": "bytea",
}


def _append(events: str, sequence: str, last_hash: str, seal: str) -> str:
    """One statement for all rows and the head. The rows come as one document, because arrays are slow on Citus."""
    return f"""
    WITH written AS (
        INSERT INTO alga_tenants.audit_events ({", ".join(_COLUMNS)})
        SELECT {", ".join(_COLUMNS)} FROM jsonb_to_recordset({events}) AS event(
            {", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in _COLUMNS)}
        )
    )
    UPDATE alga_tenants.audit_head SET sequence = {sequence}, hash = {last_hash}, seal = {seal} WHERE is_only
    """  # noqa: S608 - made of names in this module and of what stands for values


_APPEND = text(_append(":events", ":sequence", ":hash", ":seal")).bindparams(
    bindparam("events", type_=JSONB), bindparam("hash", type_=LargeBinary), bindparam("seal", type_=LargeBinary)
)

_LOCK_HEAD = select(
    audit_head.c.sequence,
    audit_head.c.hash,
    audit_head.c.seal,
    select(func.max(audit_events.c.sequence)).scalar_subquery().label("last"),
).with_for_update(of=audit_head)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Head:
    """The last event's number and hash; the seal is null before the first event."""

    sequence: int
    hash: bytes
    seal: bytes | None


UNUSED = Head(0, NO_HASH, None)
"""How the migration leaves it."""


@dataclass(frozen=True)
class _Chained:
    """Events as rows, and what the head is once they are written."""

    rows: list[dict[str, Any]]
    sequence: int
    last_hash: bytes
    seal: bytes


class AuditTrail:
    """Writes events; only who has the key can make hashes and seals that hold."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def append(self, connection: AsyncConnection, event: AuditEvent) -> None:
        """Add an event in the caller's transaction: two round trips; see `append_all`."""
        await self.append_all(connection, [event])

    async def append_all(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> None:
        """Add events in the caller's transaction, to be called last in it: others wait until that is committed.

        Where the head was forged or lost, an event of its own says so for ever, and the chain goes on after the last
        row: otherwise the next event would lend the forgery a good seal.
        """
        if not events:
            return
        chained = await self._chain(connection, events)
        await connection.execute(
            _APPEND,
            {"events": chained.rows, "sequence": chained.sequence, "hash": chained.last_hash, "seal": chained.seal},
        )

    async def append_with_commit(self, opened: Transaction, event: AuditEvent) -> None:
        """Add an event as `append` does, but in the round trip of the commit, so that it takes one itself."""
        chained = await self._chain(opened.connection, [event])
        rows = f"{script_literal(json.dumps(chained.rows))}::jsonb"
        last_hash, seal = script_literal(chained.last_hash), script_literal(chained.seal)
        opened.end_with(_append(rows, str(int(chained.sequence)), last_hash, seal))

    async def _chain(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> _Chained:
        """Lock the head, and give the events their places behind it."""
        head, is_last = await self._lock_head(connection)
        if head is None or not is_last or not self.is_sealed(head):
            newest = await self._newest(connection)
            if head != UNUSED or newest != UNUSED:
                log.error(
                    "the head of the audit trail was forged, or sealed with another key, or events were slipped in",
                    found=_told(head),
                )
                events = [_break(head), *events]
            head = newest
        return self._chained_to(head, events)

    async def append_once(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> None:
        """Add those of the events that were not added before; see `append_all`."""
        await self.append_all(connection, await self.unknown(connection, events) if events else [])

    async def unknown(self, connection: AsyncConnection, events: Sequence[AuditEvent]) -> list[AuditEvent]:
        """Those of the events that were not added, for those who never heard how their commit ended."""
        ids = [event.id for event in events]
        found = await connection.scalars(select(audit_events.c.id).where(audit_events.c.id.in_(ids)))
        known = set(found)
        return [event for event in events if event.id not in known]

    def hash_of(self, values: Mapping[str, Any], sequence: int, previous_hash: bytes) -> bytes:
        """The hash of an event, given by its `values`, at its place of the chain."""
        return self._mac(b"event", canonical(values, sequence, previous_hash))

    def seal_of(self, sequence: int, last_hash: bytes) -> bytes:
        """The seal of a head."""
        return self._mac(b"head", b"%d %s" % (sequence, last_hash.hex().encode()))

    def is_sealed(self, head: Head) -> bool:
        """Whether the head's seal was made with our key."""
        return head.seal is not None and hmac.compare_digest(head.seal, self.seal_of(head.sequence, head.hash))

    def _mac(self, purpose: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\n" + content, sha256)

    async def _lock_head(self, connection: AsyncConnection) -> tuple[Head | None, bool]:
        """The head, and whether no event lies beyond it, whose number would be taken when we came to it."""
        row = (await connection.execute(_LOCK_HEAD)).one_or_none()
        if row is None:
            return None, False
        # What others have added while we waited for them is in the head that we get, and may not yet be in `last`.
        return Head(row.sequence, row.hash, row.seal), (row.last or 0) <= row.sequence

    async def _newest(self, connection: AsyncConnection) -> Head:
        """What the head ought to be by the rows, which is locked then."""
        await connection.execute(
            postgres_insert(audit_head).values(sequence=0, hash=NO_HASH).on_conflict_do_nothing()
        )
        await self._lock_head(connection)
        columns = audit_events.c
        row = (
            await connection.execute(
                select(columns.sequence, columns.hash).order_by(columns.sequence.desc()).limit(1)
            )
        ).one_or_none()
        return Head(row.sequence, row.hash, None) if row is not None else UNUSED

    def _chained_to(self, head: Head, events: Sequence[AuditEvent]) -> _Chained:
        sequence, last_hash = head.sequence, head.hash
        rows = []
        for event in events:
            sequence += 1
            values = event.values()
            new_hash = self.hash_of(values, sequence, last_hash)
            rows.append(
                {
                    **values,
                    # Without it the session's time zone would count.
                    "occurred_at": f"{values['occurred_at']}Z",
                    "sequence": sequence,
                    "previous_hash": _bytea(last_hash),
                    "hash": _bytea(new_hash),
                }
            )
            last_hash = new_hash
        return _Chained(rows, sequence, last_hash, self.seal_of(sequence, last_hash))


def _break(found: Head | None) -> AuditEvent:
    return AuditEvent(
        action=Action.AUDIT_BREAK,
        outcome=Outcome.FAILED,
        caller=ITSELF,
        reason=HEAD_FORGED,
        details={"found": _told(found)},
    )


def _told(head: Head | None) -> str | None:
    return f"{head.sequence}:{head.hash.hex()}" if head is not None else None


def _bytea(content: bytes) -> str:
    return f"\\x{content.hex()}"
