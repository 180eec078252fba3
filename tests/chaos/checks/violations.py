"""The kinds of violations."""

from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.checks.ledger import Entry


class Wrong(StrEnum):
    """The kinds of violations, worst first."""

    LOST = "lost"
    DOUBLED = "doubled"
    PARTIAL = "partial"
    LEFT = "rows left behind"
    CHANGED = "rows changed"
    UNPROVEN = "not proven"
    UNTRUE = "misreported"
    NEIGHBOURS = "neighbours changed"
    UNSETTLED = "not settled"


@dataclass(frozen=True)
class Violation:
    """A violation in words, and the tenant that it concerns."""

    kind: Wrong
    text: str
    entry: Entry | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.entry}: {self.text}" if self.entry is not None else f"{self.kind}: {self.text}"
