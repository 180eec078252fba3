"""What it takes to reach Temporal."""

from pydantic import Field

from app.settings.base import ProcessSettings


class TemporalSettings(ProcessSettings):
    """Temporal's address, namespace, queue and time limits; all that some commands need."""

    temporal_address: str = Field(
        default="temporal-frontend.temporal.svc.cluster.local:7233",
        description="Temporal's frontend, `host:port`.",
    )
    temporal_namespace: str = Field(default="default", description="Temporal namespace.")
    temporal_task_queue: str = Field(
        default="tenant-workflows", description="Task queue that the worker polls and the gateway starts on."
    )
    temporal_rpc_timeout: float = Field(
        default=3.0,
        gt=0,
        le=30,
        description="Seconds that one call to Temporal may take before a request gets a 503.",
    )
    temporal_workflow_task_timeout: float = Field(
        default=5.0,
        ge=1,
        le=60,
        description="Seconds of a workflow task; cancels and progress pass at 80 % of it while a step runs.",
    )
