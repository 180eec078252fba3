"""A worker of another service, with workflows that ours don't know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import workflow
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

THEIR_WORKFLOW = "maintenanceJobWorkflow"
FOREIGN = "21@alga-worker"


@workflow.defn(name=THEIR_WORKFLOW)
class MaintenanceJob:
    """Ends when it is signalled."""

    def __init__(self) -> None:
        self._is_over = False

    @workflow.run
    async def run(self) -> str:
        """Wait for the signal."""
        await workflow.wait_condition(lambda: self._is_over)
        return "done by the other service"

    @workflow.signal
    def finish(self) -> None:
        """End the workflow."""
        self._is_over = True


@workflow.defn(name="tenantCreationWorkflow")
class TheirCreation:
    """Has a type of ours, and another history."""

    @workflow.run
    async def run(self) -> None:
        """Wait for long."""
        await asyncio.sleep(3600)


@asynccontextmanager
async def foreign_worker(
    address: str, task_queue: str, *, identity: str = FOREIGN, version: str | None = None
) -> AsyncIterator[Client]:
    """Run a worker during the block, and yield its client."""
    client = await Client.connect(address, identity=identity)
    deployment = None
    if version is not None:
        deployment = WorkerDeploymentConfig(
            WorkerDeploymentVersion("theirs", version),
            use_worker_versioning=True,
            default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
        )
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[MaintenanceJob, TheirCreation],
        workflow_runner=UnsandboxedWorkflowRunner(),
        deployment_config=deployment,
    ):
        yield client
