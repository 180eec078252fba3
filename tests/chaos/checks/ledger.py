"""The driver's own books: who asked for what, and what was answered. In the end the database is held against them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tests.chaos.plan import Plan, TenantPlan

ACCEPTED = {200, 201, 202}
UNAVAILABLE = 503


class Call(StrEnum):
    """What callers ask for."""

    CREATE = "POST /tenants"
    CANCEL = "DELETE"
    CHANGE = "PATCH"
    RESUME = "POST resume"
    START = "start in Temporal"
    TERMINATE = "terminate in Temporal"


@dataclass(frozen=True)
class Answer:
    """What came of one call; times are seconds since the beginning of the run.

    `status` is the HTTP status, or none where no answer came; `fault` says why not.
    """

    call: Call
    where: str
    sent_at: float
    at: float
    status: int | None = None
    fault: str | None = None
    was_sent: bool = True
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def is_accepted(self) -> bool:
        """Whether the service took it upon itself."""
        return self.status in ACCEPTED

    @property
    def is_refused(self) -> bool:
        """Whether it is certain that nothing was done: the caller's fault, or the service is unavailable."""
        if not self.was_sent:
            return True
        return self.status is not None and (400 <= self.status < 500 or self.status == UNAVAILABLE)

    @property
    def is_final(self) -> bool:
        """Whether there is no reason to ask again."""
        return self.is_accepted or (self.is_refused and self.was_sent and self.status != UNAVAILABLE)

    @property
    def label(self) -> str:
        """The status, or why there is none."""
        return str(self.status) if self.status is not None else f"{self.fault}"


@dataclass
class Entry:
    """One tenant that somebody asked for."""

    plan: TenantPlan
    name: str
    answers: list[Answer] = field(default_factory=list)
    workflow_id: str | None = None

    def of(self, *calls: Call) -> list[Answer]:
        """The answers to those calls."""
        return [answer for answer in self.answers if answer.call in calls]

    @property
    def creations(self) -> list[Answer]:
        """The answers to those who asked for the tenant."""
        return self.of(Call.CREATE, Call.START)

    @property
    def is_accepted(self) -> bool:
        """Whether the service has ever said that it makes this tenant."""
        return any(answer.is_accepted for answer in self.creations)

    @property
    def is_refused(self) -> bool:
        """Whether it is certain that the service does not make this tenant."""
        return all(answer.is_refused for answer in self.creations)

    @property
    def is_terminated(self) -> bool:
        """Whether its workflow was terminated in Temporal while it ran, or may have been: an answer can be lost."""
        return any(answer.is_accepted or answer.status is None for answer in self.of(Call.TERMINATE))

    @property
    def temporary_passwords(self) -> set[str]:
        """The passwords that were answered."""
        return {answer.body["temporaryPassword"] for answer in self.creations if "temporaryPassword" in answer.body}

    def __str__(self) -> str:
        return f"tenant {self.plan.number} ({self.workflow_id or 'no workflow id known'})"


class Ledger:
    """Everything that was asked for in a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries = [Entry(tenant, plan.name_of(tenant)) for tenant in plan.tenants]
        self.begin()

    def begin(self) -> None:
        """Count the run's seconds from now."""
        self._began = time.monotonic()
        self._began_at = datetime.now(UTC)

    @property
    def now(self) -> float:
        """Seconds since the beginning of the run."""
        return time.monotonic() - self._began

    def seconds_at(self, moment: datetime) -> float:
        """The seconds of the run at that time."""
        return (moment - self._began_at).total_seconds()

    @property
    def answers(self) -> Iterator[Answer]:
        """Every answer."""
        return (answer for entry in self.entries for answer in entry.answers)

    def by_name(self) -> dict[str, Entry]:
        """The entries by the names of their tenants."""
        return {entry.name: entry for entry in self.entries}
