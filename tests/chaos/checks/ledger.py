"""The driver's own records: who requested what, with which response. The audit compares the database with them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tests.chaos.plan import Plan, TenantPlan
from tests.chaos.scenarios.plan import Act, Step
from tests.chaos.scenarios.tenants import Birth, TenantRows

ACCEPTED = {200, 201, 202}
UNAVAILABLE = 503
# Problems that end by themselves, so that a careful caller repeats the request.
PASSING = {"deletion-not-begun", "operation-in-progress"}


class Call(StrEnum):
    """The kinds of calls."""

    CREATE = "POST /tenants"
    CANCEL = "DELETE"
    CHANGE = "PATCH"
    RESUME = "POST resume"
    START = "start in Temporal"
    TERMINATE = "terminate in Temporal"


@dataclass(frozen=True)
class CallResult:
    """The result of one call; times are seconds since the beginning of the run.

    `status` is the HTTP status, or None if there was no response; `fault` says why not. `step` is the number of a
    scenario's step.
    """

    call: Call | Act
    where: str
    sent_at: float
    at: float
    status: int | None = None
    fault: str | None = None
    was_sent: bool = True
    body: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether the service accepted the call."""
        return self.status in ACCEPTED

    @property
    def is_refused(self) -> bool:
        """Whether the call certainly had no effect: the request was invalid, or the service unavailable."""
        if not self.was_sent:
            return True
        return self.status is not None and (400 <= self.status < 500 or self.status == UNAVAILABLE)

    @property
    def is_final(self) -> bool:
        """Whether there is no reason to repeat the call."""
        is_passing = self.status == UNAVAILABLE or self.body.get("code") in PASSING
        return self.is_accepted or (self.is_refused and self.was_sent and not is_passing)

    @property
    def label(self) -> str:
        """The status, or why there is none."""
        return str(self.status) if self.status is not None else f"{self.fault}"


@dataclass
class Entry:
    """One requested tenant."""

    plan: TenantPlan
    name: str
    results: list[CallResult] = field(default_factory=list)
    workflow_id: str | None = None
    birth: Birth | None = None
    """The tenant when its creation had completed, if that was seen during the run."""
    before: TenantRows | None = None
    """Its rows after that, before its scenario."""
    acts: list[CallResult] = field(default_factory=list)
    """The results of its scenario's calls."""
    is_begun: bool = False
    """Whether its scenario has begun."""
    is_played: bool = False
    """Whether its scenario is over."""

    @property
    def tenant_id(self) -> str:
        """The id of the created tenant; `RuntimeError` if its creation was not seen as completed."""
        if self.birth is None:
            raise RuntimeError(f"{self} is not created")
        return self.birth.tenant_id

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of its scenario, if it has one."""
        return self.plan.scenario.steps if self.plan.scenario is not None else ()

    def did(self, *acts: Act) -> list[CallResult]:
        """Return the results of these acts."""
        return [result for result in self.acts if result.call in acts]

    def of(self, *calls: Call) -> list[CallResult]:
        """Return the results of these calls."""
        return [result for result in self.results if result.call in calls]

    @property
    def creations(self) -> list[CallResult]:
        """Return the results of the calls that requested the tenant."""
        return self.of(Call.CREATE, Call.START)

    @property
    def is_accepted(self) -> bool:
        """Whether the service ever accepted the creation."""
        return any(result.is_accepted for result in self.creations)

    @property
    def is_refused(self) -> bool:
        """Whether the service certainly doesn't create the tenant."""
        return all(result.is_refused for result in self.creations)

    @property
    def is_terminated(self) -> bool:
        """Whether its workflow was, or may have been, terminated in Temporal while it ran."""
        return any(result.is_accepted or result.status is None for result in self.of(Call.TERMINATE))

    @property
    def temporary_passwords(self) -> set[str]:
        """The passwords in the responses."""
        return {result.body["temporaryPassword"] for result in self.creations if "temporaryPassword" in result.body}

    def __str__(self) -> str:
        return f"tenant {self.plan.number} ({self.workflow_id or 'no workflow id known'})"


class Ledger:
    """Everything that was requested in a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.entries = [Entry(tenant, plan.name_of(tenant)) for tenant in plan.tenants]
        self.begin()

    def begin(self) -> None:
        """Start counting the run's seconds."""
        self._began = time.monotonic()
        self._began_at = datetime.now(UTC)

    @property
    def now(self) -> float:
        """The seconds since the beginning of the run."""
        return time.monotonic() - self._began

    def seconds_at(self, moment: datetime) -> float:
        """Return the run's seconds at that time."""
        return (moment - self._began_at).total_seconds()

    @property
    def results(self) -> Iterator[CallResult]:
        """Return all results."""
        return (result for entry in self.entries for result in (*entry.results, *entry.acts))

    def by_name(self) -> dict[str, Entry]:
        """The entries by the names of their tenants."""
        return {entry.name: entry for entry in self.entries}
