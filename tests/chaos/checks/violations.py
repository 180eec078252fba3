"""What a run can have done wrong."""

from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.checks.ledger import Entry


class Wrong(StrEnum):
    """The kinds of wrong, worst first."""

    LOST = "lost"
    DOUBLED = "doubled"
    PARTIAL = "partial"
    LEFT = "rows left behind"
    UNTRUE = "told untruly"
    NEIGHBOURS = "neighbours changed"
    UNSETTLED = "not settled"


@dataclass(frozen=True)
class Violation:
    """One thing that must not be, in words, and whose tenant it concerns."""

    kind: Wrong
    text: str
    entry: Entry | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.entry}: {self.text}" if self.entry is not None else f"{self.kind}: {self.text}"
