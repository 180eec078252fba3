"""What happens in a run, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from tests.chaos.scenarios.plan import Scenario

REPLICAS = ("gateway-1", "gateway-2", "worker-1", "worker-2")
SERVERS = ("database", "temporal")

STEP_RETRY_WINDOW = 4.0
"""How long the service retries before an operation needs attention; short, so that both happen in a run."""

Shape = Literal["plain", "citus", "development"]
Fate = Literal["resume", "cancel", "leave"]


class Kind(StrEnum):
    """The kinds of events, as the report names them."""

    REPLICA_KILLED = "process killed"
    REPLICA_TERMINATED = "process terminated"
    DATABASE_KILLED = "PostgreSQL killed"
    DATABASE_STOPPED = "PostgreSQL stopped at once"
    DATABASE_READ_ONLY = "PostgreSQL read-only"
    BACKENDS_TERMINATED = "all backends terminated"
    TEMPORAL_KILLED = "Temporal killed"
    CUT = "connections cut"
    REFUSED = "connections refused"
    STALLED = "connections stalled"
    RESPONSES_LOST = "responses lost"
    LASTING_OUTAGE = "PostgreSQL out of reach"
    WORKFLOW_TERMINATED = "workflow terminated"


@dataclass(frozen=True)
class Event:
    """An event that begins `at` seconds after the beginning and lasts for `seconds`.

    `replica` is the process that it affects, and `server` the one that this process is cut off from.
    """

    at: float
    kind: Kind
    seconds: float = 0.0
    replica: str | None = None
    server: str | None = None

    @property
    def wire(self) -> tuple[str, str]:
        """The connection that it affects, if any."""
        return str(self.replica), str(self.server)


@dataclass(frozen=True)
class Profile:
    """A way to request a tenant; equal requests get the same number of rows in each table."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class TenantPlan:
    """A requested tenant and its callers' actions; delays count from the first final result."""

    number: int
    at: float
    profile: Profile
    email: str
    password: str | None
    tenant_id: UUID | None
    key: str | None
    """The Idempotency-Key; a request without one is never repeated after an unclear result."""
    gateway: int
    """The first gateway, 0 or 1."""
    is_direct: bool
    """Whether it is started in Temporal itself, as Alga's own client does."""
    callers: int
    """How many callers send the request at the same moment, in turn to the gateways."""
    repeats: tuple[float, ...]
    wait: int | None
    shares_email: bool
    cancels: tuple[float, ...]
    patch: float | None
    termination: float | None
    """When its workflow is terminated directly in Temporal."""
    when_parked: Fate
    """What the operator does each time it needs attention."""
    scenario: Scenario | None = None
    """What happens to the tenant after its creation; it begins only if that completes in time."""

    @property
    def is_repeatable(self) -> bool:
        """Whether its callers repeat the request until they get a response."""
        return self.is_direct or self.key is not None


@dataclass(frozen=True)
class Plan:
    """A plan of a run."""

    seed: int
    seconds: float
    shape: Shape
    tenants: tuple[TenantPlan, ...]
    events: tuple[Event, ...]

    def name_of(self, tenant: TenantPlan) -> str:
        """Return the tenant's name, by which its operations are found."""
        return f"Chaos {self.seed} {tenant.number:04}"
