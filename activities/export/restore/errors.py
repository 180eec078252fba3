"""Why an archive is not restored."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from activities.errors import FinalError

RESTORE_REFUSED = "restore-refused"
MAX_SHOWN = 20
# An operation shows 1,000 characters.
MAX_TEXT = 900


@dataclass(frozen=True)
class Refusal:
    """One reason; `table` is where it was found, `values` are some of the values, for an operator to look at."""

    code: str
    detail: str
    table: str | None = None
    values: tuple[str, ...] = ()


class RestoreRefusedError(FinalError):
    """The archive can't be restored into this database; nothing was written."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(refusals)
        super().__init__(RESTORE_REFUSED, _text([refusal.detail for refusal in self.refusals]))


def _text(details: Sequence[str]) -> str:
    """Return as many reasons as an operation shows, at least one, and the number of further ones."""
    ends = accumulate(len(detail) + len("; ") for detail in details)
    shown = max(1, sum(end <= MAX_TEXT for end in ends))
    further = f"; and {len(details) - shown} further reasons" if len(details) > shown else ""
    return "; ".join(details[:shown]) + further
