"""Why an archive is not restored."""

from collections.abc import Sequence
from dataclasses import dataclass

from activities.errors import FinalError

RESTORE_REFUSED = "restore-refused"
MAX_SHOWN = 20


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
        shown = "; ".join(refusal.detail for refusal in self.refusals[:MAX_SHOWN])
        further = len(self.refusals) - MAX_SHOWN
        super().__init__(RESTORE_REFUSED, shown + (f"; and {further} further reasons" if further > 0 else ""))
