"""How a worker runs operations, and how it handles errors that last."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from pydantic import Field

from app.settings.base import ProcessSettings
from workflows.operations.messages import FailurePolicy

MAX_ATTENTION_TIMEOUT = 366 * 86_400


class OperationSettings(ProcessSettings):
    """Concurrency, retry and attention windows, maintenance, blueprints."""

    max_concurrent_activities: int = Field(default=10, ge=1)
    """Activities that a worker runs at once."""
    max_concurrent_workflows: int = Field(default=10, ge=1)
    """Workflow tasks that a worker runs at once."""
    shutdown_grace_period: float = Field(default=30.0, ge=0, le=600)
    """Seconds that running work may take to finish after SIGTERM."""

    step_retry_window: float = Field(default=900.0, ge=0)
    """Seconds that temporary errors of a step are retried before the operation waits for an operator."""
    attention_timeout: float = Field(default=604_800.0, gt=0, le=MAX_ATTENTION_TIMEOUT)
    """Seconds that an operation waits for an operator before it fails."""
    maintenance_interval: float = Field(default=60.0, ge=1)
    """Seconds between two rounds of maintenance, which compares operations with Temporal and prunes old rows."""
    operation_retention: float = Field(default=31_536_000.0, ge=86_400)
    """Seconds that finished operations are kept; audit events are never deleted."""
    idempotency_key_retention: float = Field(default=2_592_000.0, ge=86_400)
    """Seconds in which a repeated `Idempotency-Key` finds the operation that it started."""
    master_billing_tenant_id: UUID | None = None
    """Alga's own management tenant, which is never suspended or deleted. Without it, suspensions and deletions are
    refused, and so are requests with fields of Stripe, whose prices are looked up there, and no tenant becomes a
    customer there."""
    deletion_two_person: bool = False
    """Whether a deletion has to be confirmed by another person, with another credential, than requested it."""
    wire_deletion: bool = False
    """Whether clients of Temporal, such as Alga's own, may delete tenants."""

    blueprints_dir: Path | None = None
    """Folder of blueprint files that replace the built-in ones of the same product."""

    @property
    def failure_policy(self) -> FailurePolicy:
        """How workflows handle errors that last."""
        return FailurePolicy(
            step_retry_window=timedelta(seconds=self.step_retry_window),
            attention_timeout=timedelta(seconds=self.attention_timeout),
        )
