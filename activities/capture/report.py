"""What a capture leaves out, and why."""

from collections import Counter
from dataclasses import dataclass, field


class CaptureError(Exception):
    """A tenant can't be captured; the message says why and what to do."""


class UnknownTenantError(CaptureError):
    """There is no such tenant."""


@dataclass(frozen=True)
class LeftOut:
    """Rows of a table that were left out, or with a column their values alone."""

    table: str
    column: str | None
    reason: str
    rows: int


@dataclass
class Report:
    """Counts what is left out."""

    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def rows(self, table: str, reason: str, count: int = 1) -> None:
        """Note rows that are left out."""
        self._counts[table, "", reason] += count

    def value(self, table: str, column: str, reason: str) -> None:
        """Note a value that is left out of a captured row."""
        self._counts[table, column, reason] += 1

    def entries(self) -> tuple[LeftOut, ...]:
        """Return all notes, sorted."""
        found = sorted(self._counts.items())
        return tuple(LeftOut(table, column or None, reason, count) for (table, column, reason), count in found)
