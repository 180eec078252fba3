"""Verifies the audit trail: walks its chain from the first event to the head, and reports where it is broken."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import Action
from activities.audit.trail import INITIAL_HEAD, NO_HASH, AuditTrail, Head

BATCH_SIZE = 1000
MAX_BREAKS = 20
MIN_SEQUENCE = -(2**63)

# One statement, so that no event is added between the two reads.
_HEAD = text("""
    SELECT head.sequence, head.hash, head.seal, (SELECT max(sequence) FROM alga_tenants.audit_events) AS newest
    FROM (VALUES (true)) AS always(is_only) LEFT JOIN alga_tenants.audit_head AS head USING (is_only)
""")
# As texts, because a row that was tampered with may contain values that the driver or the parser rejects.
_EVENTS = text("""
    SELECT sequence, id::text AS id,
        to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS occurred_at,
        action, outcome, caller, on_behalf_of, workflow_id, tenant_id::text AS tenant_id, subject, reason, request_id,
        address, method, path, count, details::text AS details, previous_hash, hash
    FROM alga_tenants.audit_events WHERE sequence >= :first AND sequence <= :last ORDER BY sequence LIMIT :limit
""")


class BreakKind(StrEnum):
    """How the chain is broken. The detail of a break explains its kind."""

    CHANGED = "changed"
    MOVED = "moved"
    MISSING = "missing"
    UNLINKED = "unlinked"
    SURPLUS = "surplus"
    CUT = "cut"
    HEAD = "head-forged"
    NOTED = "not-as-noted"


@dataclass(frozen=True)
class Break:
    """One place where the chain is broken."""

    kind: BreakKind
    sequence: int
    detail: str


@dataclass(frozen=True)
class Report:
    """The result of a verification. It is incomplete if the verification stopped at the maximum number of breaks."""

    sequence: int
    hash: bytes
    checked: int
    breaks: tuple[Break, ...]
    is_complete: bool

    @property
    def is_intact(self) -> bool:
        """Whether no break was found."""
        return not self.breaks


async def verify(
    connection: AsyncConnection, trail: AuditTrail, *, noted: Head | None = None, max_breaks: int = MAX_BREAKS
) -> Report:
    """Check every event up to the current head, in batches that need no common transaction."""
    row = (await connection.execute(_HEAD)).one()
    await connection.rollback()
    head = Head(row.sequence, row.hash, row.seal) if row.sequence is not None else None
    newest = row.newest or 0
    walk = _Walk(trail, noted, max_breaks)
    walk.begin(head, newest)
    first, last = MIN_SEQUENCE, newest if head is None else min(newest, head.sequence)
    while not walk.is_over:
        rows = (await connection.execute(_EVENTS, {"first": first, "last": last, "limit": BATCH_SIZE})).all()
        # Between batches there is no snapshot that would delay vacuuming.
        await connection.rollback()
        for row in takewhile(lambda _: not walk.is_over, rows):
            walk.visit(row._asdict())
        if len(rows) < BATCH_SIZE:
            break
        first = rows[-1].sequence + 1
    is_complete = not walk.is_over
    if is_complete:
        walk.end(head, newest)
    sequence, head_hash, _ = head or INITIAL_HEAD
    return Report(sequence, head_hash, walk.checked, walk.reported_breaks(), is_complete)


async def read_event(
    connection: AsyncConnection, trail: AuditTrail, sequence: int
) -> tuple[Mapping[str, Any], bytes]:
    """Return the values and the hash of one event; raise `LookupError` if it is missing or differs from its hash."""
    found = (await connection.execute(_EVENTS, {"first": sequence, "last": sequence, "limit": 1})).one_or_none()
    if found is None:
        raise LookupError(f"event {sequence} is missing")
    row = found._asdict()
    _, previous_hash, row_hash = row.pop("sequence"), row.pop("previous_hash"), row.pop("hash")
    values = {**row, "details": _parsed(row["details"])}
    if not hmac.compare_digest(row_hash, trail.hash_of(values, sequence, previous_hash)):
        raise LookupError(f"event {sequence} differs from what was written")
    return values, row_hash


@dataclass
class _Walk:
    """The state of a verification after an event."""

    trail: AuditTrail
    noted: Head | None
    max_breaks: int
    breaks: list[Break] = field(default_factory=list)
    checked: int = 0
    _next: int = 1
    _last_hash: bytes = NO_HASH
    _last_holds: bool = True
    # Events with a wrong hash, to find those that have changed places.
    _suspects: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether the maximum number of breaks is reached."""
        return len(self.breaks) >= self.max_breaks

    def begin(self, head: Head | None, newest: int) -> None:
        """Check the head's seal."""
        if head is None:
            self._report(BreakKind.HEAD, newest, "the head was deleted")
        elif not self.trail.is_sealed(head) and (head != INITIAL_HEAD or newest):
            self._report(BreakKind.HEAD, head.sequence, "the head has no seal, or one that was made with another key")

    def visit(self, row: dict[str, Any]) -> None:
        """Check the next event."""
        self.checked += 1
        sequence, previous_hash, row_hash = row.pop("sequence"), row.pop("previous_hash"), row.pop("hash")
        if sequence < self._next:
            self._report(BreakKind.SURPLUS, sequence, "the first event has the sequence 1")
            return
        if sequence > self._next:
            self._report_missing(BreakKind.MISSING, sequence - 1)
        values = {**row, "details": _parsed(row["details"])}
        holds = hmac.compare_digest(row_hash, self.trail.hash_of(values, sequence, previous_hash))
        if not holds:
            self._suspects[sequence] = {"values": values, "previous_hash": previous_hash, "hash": row_hash}
            self._report(BreakKind.CHANGED, sequence, "the event differs from what was written")
        elif sequence == self._next and self._last_holds and previous_hash != self._last_hash:
            self._report(BreakKind.UNLINKED, sequence, "the event was not written after the one that precedes it")
        if holds and values["action"] == Action.AUDIT_BREAK:
            found = values["details"].get("found")
            self._report(
                BreakKind.HEAD, sequence, f"the head was {found}, which was forged; earlier events may be missing"
            )
        if self.noted is not None and sequence == self.noted.sequence and row_hash != self.noted.hash:
            self._report(BreakKind.NOTED, sequence, "the hash of the event differs from the noted one")
        self._next, self._last_hash, self._last_holds = sequence + 1, row_hash, holds

    def end(self, head: Head | None, newest: int) -> None:
        """Compare the last event with the head."""
        last = self._next - 1
        if head is not None:
            if head.sequence == last and self._last_holds and head.hash != self._last_hash:
                self._report(BreakKind.HEAD, last, "the hash of the last event differs from that of the head")
            if head.sequence > last:
                self._report_missing(BreakKind.CUT, head.sequence)
            if newest > head.sequence:
                self._report(BreakKind.SURPLUS, newest, f"there are events after the head, which is {head.sequence}")
        if self.noted is not None and self.noted.sequence > last:
            self._report(BreakKind.NOTED, self.noted.sequence, f"the last event is {last}")

    def reported_breaks(self) -> tuple[Break, ...]:
        """Return the breaks in order, with changed events reported as moved if they were."""
        return tuple(self._moved(found) if found.kind is BreakKind.CHANGED else found for found in self.breaks)

    def _report(self, kind: BreakKind, sequence: int, detail: str) -> None:
        self.breaks.append(Break(kind, sequence, detail))

    def _report_missing(self, kind: BreakKind, last: int) -> None:
        self._report(kind, self._next, f"{last - self._next + 1} events were deleted, up to {last}")

    def _moved(self, found: Break) -> Break:
        suspect = self._suspects[found.sequence]
        for other in self._suspects:
            written = self.trail.hash_of(suspect["values"], other, suspect["previous_hash"])
            if other != found.sequence and written == suspect["hash"]:
                return Break(BreakKind.MOVED, found.sequence, f"the event was written as {other}")
        return found


def _parsed(details: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(details)
    except (ValueError, RecursionError):
        parsed = None
    return parsed if isinstance(parsed, dict) else {"unreadable": details}
