"""Verifies the audit trail: walks its chain from the first event to the head, and says where it is broken."""

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
from activities.audit.trail import NO_HASH, UNUSED, AuditTrail, Head

BATCH = 1000
MOST_BREAKS = 20
SMALLEST = -(2**63)

# One statement, so that what is added meanwhile can't come between the two.
_HEAD = text("""
    SELECT head.sequence, head.hash, head.seal, (SELECT max(sequence) FROM alga_tenants.audit_events) AS newest
    FROM (VALUES (true)) AS always(is_only) LEFT JOIN alga_tenants.audit_head AS head USING (is_only)
""")
# As texts, because a row that somebody has changed may hold what neither driver nor parser can take.
_EVENTS = text("""
    SELECT sequence, id::text AS id,
        to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') AS occurred_at,
        action, outcome, caller, on_behalf_of, workflow_id, tenant_id::text AS tenant_id, subject, reason, request_id,
        address, method, path, count, details::text AS details, previous_hash, hash
    FROM alga_tenants.audit_events WHERE sequence >= :first AND sequence <= :last ORDER BY sequence LIMIT :most
""")


class BreakKind(StrEnum):
    """What is wrong at one place."""

    CHANGED = "changed"
    """The event isn't what was written."""
    MOVED = "moved"
    """The event was written at another place."""
    MISSING = "missing"
    """Events between two others are gone."""
    UNLINKED = "unlinked"
    """The event was written after another one than that before it now."""
    SURPLUS = "surplus"
    """There are events where the chain has no place for them."""
    CUT = "cut"
    """The last events are gone."""
    HEAD = "head-forged"
    """The head is lost, or was sealed without the key, or with another one."""
    NOTED = "not-as-noted"
    """What was noted elsewhere doesn't hold: the chain was cut or replaced, head and all."""


@dataclass(frozen=True)
class Break:
    """Where the chain is broken: at one sequence, or from the first to the last of several."""

    kind: BreakKind
    sequence: int
    detail: str


@dataclass(frozen=True)
class Noted:
    """A head as somebody noted it elsewhere."""

    sequence: int
    hash: bytes


@dataclass(frozen=True)
class Report:
    """What a verification found; where `is_complete` is False it stopped at the most breaks that it tells."""

    sequence: int
    hash: bytes
    checked: int
    breaks: tuple[Break, ...]
    is_complete: bool

    @property
    def is_intact(self) -> bool:
        """Whether everything is as it was written."""
        return not self.breaks


async def verify(
    connection: AsyncConnection, trail: AuditTrail, *, noted: Noted | None = None, most_breaks: int = MOST_BREAKS
) -> Report:
    """Check every event up to the head that there is now, a thousand at a time; needs no transaction to be kept."""
    row = (await connection.execute(_HEAD)).one()
    await connection.rollback()
    head = Head(row.sequence, row.hash, row.seal) if row.sequence is not None else None
    newest = row.newest or 0
    walk = _Walk(trail, noted, most_breaks)
    walk.begin(head, newest)
    first, last = SMALLEST, newest if head is None else min(newest, head.sequence)
    while not walk.is_over:
        rows = (await connection.execute(_EVENTS, {"first": first, "last": last, "most": BATCH})).all()
        # Nothing is locked meanwhile, and no snapshot kept that would hold back vacuuming.
        await connection.rollback()
        for row in takewhile(lambda _: not walk.is_over, rows):
            walk.visit(row._asdict())
        if len(rows) < BATCH:
            break
        first = rows[-1].sequence + 1
    is_complete = not walk.is_over
    if is_complete:
        walk.end(head, newest)
    told = head or UNUSED
    return Report(told.sequence, told.hash, walk.checked, walk.told(), is_complete)


@dataclass
class _Walk:
    """What is known of the chain up to an event."""

    trail: AuditTrail
    noted: Noted | None
    most_breaks: int
    breaks: list[Break] = field(default_factory=list)
    checked: int = 0
    _next: int = 1
    _last_hash: bytes = NO_HASH
    _last_holds: bool = True
    # Events that don't hold, for finding those that have changed places.
    _suspects: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether no more breaks are to be told."""
        return len(self.breaks) >= self.most_breaks

    def begin(self, head: Head | None, newest: int) -> None:
        """Check the head's seal."""
        if head is None:
            self._note(BreakKind.HEAD, newest, "the head is gone")
        elif not self.trail.is_sealed(head) and (head != UNUSED or newest):
            self._note(BreakKind.HEAD, head.sequence, "the head was sealed without the key, or with another one")

    def visit(self, row: dict[str, Any]) -> None:
        """Check the next event."""
        self.checked += 1
        sequence, previous_hash, row_hash = row.pop("sequence"), row.pop("previous_hash"), row.pop("hash")
        if sequence < self._next:
            self._note(BreakKind.SURPLUS, sequence, "events begin with 1")
            return
        if sequence > self._next:
            self._note_missing(BreakKind.MISSING, sequence - 1)
        values = {**row, "details": _parsed(row["details"])}
        holds = hmac.compare_digest(row_hash, self.trail.hash_of(values, sequence, previous_hash))
        if not holds:
            self._suspects[sequence] = {"values": values, "previous_hash": previous_hash, "hash": row_hash}
            self._note(BreakKind.CHANGED, sequence, "the event is not what was written")
        elif sequence == self._next and self._last_holds and previous_hash != self._last_hash:
            self._note(BreakKind.UNLINKED, sequence, "the event was written after another one than that before it")
        if holds and values["action"] == Action.AUDIT_BREAK:
            found = values["details"].get("found")
            self._note(BreakKind.HEAD, sequence, f"the head was found to be {found}; events before may have been cut")
        if self.noted is not None and sequence == self.noted.sequence and row_hash != self.noted.hash:
            self._note(BreakKind.NOTED, sequence, "the event has another hash than was noted")
        self._next, self._last_hash, self._last_holds = sequence + 1, row_hash, holds

    def end(self, head: Head | None, newest: int) -> None:
        """Compare what was walked with the head."""
        last = self._next - 1
        if head is not None:
            if head.sequence == last and self._last_holds and head.hash != self._last_hash:
                self._note(BreakKind.HEAD, last, "the last event has another hash than the head")
            if head.sequence > last:
                self._note_missing(BreakKind.CUT, head.sequence)
            if newest > head.sequence:
                detail = f"there are events up to here, but the head is {head.sequence}"
                self._note(BreakKind.SURPLUS, newest, detail)
        if self.noted is not None and self.noted.sequence > last:
            self._note(BreakKind.NOTED, self.noted.sequence, f"the last event is {last}")

    def told(self) -> tuple[Break, ...]:
        """The breaks in order, with events that have changed places told as such."""
        return tuple(self._moved(found) if found.kind is BreakKind.CHANGED else found for found in self.breaks)

    def _note(self, kind: BreakKind, sequence: int, detail: str) -> None:
        self.breaks.append(Break(kind, sequence, detail))

    def _note_missing(self, kind: BreakKind, last: int) -> None:
        self._note(kind, self._next, f"{last - self._next + 1} events are gone, up to {last}")

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
