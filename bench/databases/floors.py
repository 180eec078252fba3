"""The floors on Temporal: an empty workflow, and one with a local activity that does nothing.

`python -m bench.databases.floors` is their worker, a separate process with the product's slots and cache.
"""

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from app.embedded.processes.signals import stop_on_signals

TASK_QUEUE = "bench-floors"
SLOTS = 10
CACHED_WORKFLOWS = 1000
ADDRESS = "TEMPORAL_ADDRESS"


@activity.defn
async def do_nothing() -> None:
    """Do nothing."""


@workflow.defn
class EmptyWorkflow:
    """A workflow that completes at once."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@workflow.defn
class LocalStepsWorkflow:
    """A workflow with one local activity, like a creation."""

    @workflow.run
    async def run(self) -> None:
        """Run the activity."""
        await workflow.execute_local_activity(do_nothing, start_to_close_timeout=timedelta(seconds=20))


async def main() -> None:
    """Poll until the process is stopped."""
    client = await Client.connect(os.environ[ADDRESS])
    worker = Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=[EmptyWorkflow, LocalStepsWorkflow],
        activities=[do_nothing],
        max_concurrent_workflow_tasks=SLOTS,
        max_concurrent_local_activities=SLOTS,
        max_cached_workflows=CACHED_WORKFLOWS,
    )
    await worker.run()


if __name__ == "__main__":
    with stop_on_signals():
        asyncio.run(main())
