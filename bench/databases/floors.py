"""The floors on Temporal: an empty workflow, and one with a local activity that does nothing.

`python -m bench.databases.floors` is the worker that runs them, a process of its own with the product's slots and
cache.
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
    """A step that does nothing."""


@workflow.defn
class EmptyWorkflow:
    """Ends as soon as it has begun."""

    @workflow.run
    async def run(self) -> None:
        """Do nothing."""


@workflow.defn
class LocalStepsWorkflow:
    """One local activity, as a creation has."""

    @workflow.run
    async def run(self) -> None:
        """Run the activity."""
        await workflow.execute_local_activity(do_nothing, start_to_close_timeout=timedelta(seconds=20))


async def main() -> None:
    """Poll until the process is told to end."""
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
