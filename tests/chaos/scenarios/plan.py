"""What happens to some tenants of a run after their creation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Act(StrEnum):
    """The calls of a scenario, as the report names them: method and path below the tenant."""

    SUSPEND = "PUT suspension"
    REACTIVATE = "DELETE suspension"
    DELETE = "POST deletion"
    CONFIRM = "POST deletion/confirm"
    UNDO = "POST deletion/undo"
    TERMINATE = "terminate the deletion in Temporal"


class End(StrEnum):
    """How a tenant can be in the end, as the API names it."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True)
class Step:
    """One act, which `callers` request at the same moment, in turn from the gateways.

    It begins `delay` seconds after the previous one has its final responses. With `aim`, it begins that many seconds
    after the beginning of the next event instead, or before it if negative. With `until`, its callers go on once the
    operation has this status, or has ended.
    """

    act: Act
    body: Mapping[str, Any] = field(default_factory=dict)
    callers: int = 1
    max_delay: float = 1.5
    delay: float = 0.0
    aim: float | None = None
    until: str | None = None


@dataclass(frozen=True)
class Scenario:
    """The acts on a tenant, in order, and how it may be in the end.

    `is_full` says whether the tenant first gets a row in each of Alga's tables.
    """

    name: str
    steps: tuple[Step, ...]
    ends: frozenset[End]
    is_full: bool = False

    def count(self, act: Act) -> int:
        """Return how many of the steps are this act."""
        return sum(step.act is act for step in self.steps)


REASON = {"reason": "contract ended"}
SUSPEND, REACTIVATE, CONFIRM = Step(Act.SUSPEND, REASON), Step(Act.REACTIVATE), Step(Act.CONFIRM)
UNDO = Step(Act.UNDO, REASON)
REQUEST = {**REASON, "export": False}
# The shortest grace period that does not end within a run.
ONE_DAY: dict[str, Any] = {"gracePeriodDays": 1}
AT_ONCE: dict[str, Any] = {"confirm": True, "gracePeriodDays": 0}


def delete(*, callers: int = 1, until: str | None = None, **fields: Any) -> Step:
    """Return a request for a deletion."""
    return Step(Act.DELETE, {**REQUEST, **fields}, callers, until=until)


# A purge begins about a second after its request.
SOON = 2.0
SCENARIOS = (
    Scenario("suspended", (SUSPEND,), frozenset({End.SUSPENDED})),
    Scenario("deleted at once", (delete(**AT_ONCE, callers=2),), frozenset({End.DELETED})),
    Scenario(
        "undone in the grace period",
        (delete(confirm=True, **ONE_DAY, until="waiting"), UNDO),
        frozenset({End.ACTIVE}),
    ),
    Scenario("suspended and reactivated", (SUSPEND, REACTIVATE), frozenset({End.ACTIVE})),
    Scenario(
        "exported, confirmed later", (delete(export=True, gracePeriodDays=0), CONFIRM), frozenset({End.DELETED})
    ),
    Scenario("undone before the confirmation", (delete(), UNDO), frozenset({End.ACTIVE})),
    Scenario(
        "undone during the purge",
        (delete(**AT_ONCE), Step(Act.UNDO, max_delay=SOON)),
        frozenset({End.ACTIVE, End.DELETED}),
    ),
    Scenario("confirmed later", (delete(gracePeriodDays=0), CONFIRM), frozenset({End.DELETED})),
    Scenario(
        "suspended, and a deletion undone",
        (SUSPEND, delete(callers=2), UNDO),
        frozenset({End.SUSPENDED}),
    ),
    Scenario("exported and deleted at once", (delete(export=True, **AT_ONCE),), frozenset({End.DELETED})),
    Scenario(
        "undone, then deleted",
        (delete(confirm=True, **ONE_DAY), UNDO, delete(**AT_ONCE)),
        frozenset({End.DELETED}),
    ),
    Scenario(
        "suspended by two, and deleted",
        (Step(Act.SUSPEND, REASON, callers=2), delete(**AT_ONCE)),
        frozenset({End.DELETED}),
    ),
    Scenario(
        "terminated in the grace period",
        (delete(confirm=True, **ONE_DAY), Step(Act.TERMINATE)),
        frozenset({End.ACTIVE}),
    ),
    Scenario(
        "terminated during the purge",
        (delete(**AT_ONCE), Step(Act.TERMINATE, max_delay=SOON)),
        frozenset({End.ACTIVE, End.DELETED}),
    ),
    Scenario(
        "undone during the export",
        (delete(export=True, gracePeriodDays=0), Step(Act.UNDO, max_delay=SOON)),
        frozenset({End.ACTIVE}),
    ),
)
