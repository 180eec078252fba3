"""What a run does, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

REPLICAS = ("gateway-1", "gateway-2", "worker-1", "worker-2")
SERVERS = ("database", "temporal")

STEP_RETRY_WINDOW = 4.0
"""How long the service retries before it asks for an operator; far less than in production, so that both happen."""

Shape = Literal["plain", "citus", "development"]
Fate = Literal["resume", "cancel", "leave"]


class Kind(StrEnum):
    """What can happen to an installation, in the words of the report."""

    REPLICA_KILLED = "process killed"
    REPLICA_TERMINATED = "process told to end"
    DATABASE_KILLED = "PostgreSQL killed"
    DATABASE_STOPPED = "PostgreSQL stopped at once"
    DATABASE_READ_ONLY = "PostgreSQL read-only"
    BACKENDS_TERMINATED = "all backends terminated"
    TEMPORAL_KILLED = "Temporal killed"
    CUT = "connections cut"
    REFUSED = "connections refused"
    STALLED = "connections stalled"
    ANSWERS_LOST = "answers lost"
    LASTING_OUTAGE = "PostgreSQL out of reach"
    WORKFLOW_TERMINATED = "workflow terminated"


@dataclass(frozen=True)
class Event:
    """Something that happens `at` seconds after the beginning and lasts for `seconds`.

    `replica` is the process that it happens to, and `server` the one that this process is cut off from.
    """

    at: float
    kind: Kind
    seconds: float = 0.0
    replica: str | None = None
    server: str | None = None

    @property
    def wire(self) -> tuple[str, str]:
        """Which of the connections it concerns, where it concerns one."""
        return str(self.replica), str(self.server)


@dataclass(frozen=True)
class Profile:
    """A way to ask for a tenant; all that ask in the same way get the same number of rows in each table."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class TenantPlan:
    """One tenant that somebody asks for, and what its callers do; delays count from the first clear answer."""

    number: int
    at: float
    profile: Profile
    email: str
    password: str | None
    tenant_id: UUID | None
    key: str | None
    """The Idempotency-Key; a request without one is never repeated after an unclear answer."""
    gateway: int
    """The gateway, 0 or 1, that is asked first."""
    is_direct: bool
    """Whether it is started in Temporal itself, as Alga's own client does."""
    callers: int
    """How many send the request at the same moment, to one gateway after the other."""
    repeats: tuple[float, ...]
    wait: int | None
    shares_email: bool
    cancels: tuple[float, ...]
    patch: float | None
    termination: float | None
    """When somebody terminates its workflow in Temporal, behind the service's back."""
    when_parked: Fate
    """What the operator does each time it needs attention."""


@dataclass(frozen=True)
class Plan:
    """A run."""

    seed: int
    seconds: float
    shape: Shape
    tenants: tuple[TenantPlan, ...]
    events: tuple[Event, ...]

    def name_of(self, tenant: TenantPlan) -> str:
        """The name that the tenant is asked for by, and by which its operations are found."""
        return f"Chaos {self.seed} {tenant.number:04}"
