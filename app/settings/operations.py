"""How a worker runs operations, and what is done about errors that last."""

from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.settings.base import ProcessSettings
from workflows.messages import FailurePolicy

LONGEST_ATTENTION = 366 * 86_400


class OperationSettings(ProcessSettings):
    """Slots, windows of retries and attention, reconciliation, blueprints."""

    max_concurrent_activities: int = Field(default=10, ge=1, description="Activities that a worker runs at once.")
    max_concurrent_workflows: int = Field(default=10, ge=1, description="Workflow tasks that a worker runs at once.")
    shutdown_grace_period: float = Field(
        default=30.0, ge=0, le=600, description="Seconds that SIGTERM leaves running work to finish."
    )

    step_retry_window: float = Field(
        default=900.0,
        ge=0,
        description="Seconds that passing errors of a step are retried before the operation waits for an operator.",
    )
    attention_timeout: float = Field(
        default=604_800.0,
        gt=0,
        le=LONGEST_ATTENTION,
        description="Seconds that an operation waits for an operator before `ON_ATTENTION_TIMEOUT` is done.",
    )
    on_attention_timeout: Literal["rollback", "keep"] = Field(
        default="rollback", description="`rollback` removes what was written; `keep` goes on waiting."
    )
    reconcile_interval: float = Field(
        default=30.0,
        gt=0,
        description="Seconds between two comparisons of unfinished operations with Temporal, by each worker.",
    )
    master_billing_tenant_id: UUID | None = Field(
        default=None, description="Alga's own management tenant, which is never deleted."
    )

    blueprints_dir: Path | None = Field(
        default=None,
        description="Folder of blueprint files that replace the built-in ones of the same product.",
    )

    @property
    def failure_policy(self) -> FailurePolicy:
        """What workflows do about errors that last."""
        return FailurePolicy(
            step_retry_window=timedelta(seconds=self.step_retry_window),
            attention_timeout=timedelta(seconds=self.attention_timeout),
            on_attention_timeout=self.on_attention_timeout,
        )
