"""A worker process with a step after the commit: `python -m tests.e2e.extended_worker`.

The step fails for good if `FOLLOW_UP` is `fails`; otherwise it does nothing.
"""

import asyncio
import os

from temporalio import activity
from temporalio.exceptions import ApplicationError

from app.database import worker_engine
from app.settings import Settings
from app.temporal.client import connect
from app.worker.factory import Extensions, create_worker
from workflows.operations.messages import FollowUpInput, StepDone
from workflows.tenants.steps import TRACK_CUSTOMER


@activity.defn(name=TRACK_CUSTOMER)
async def track_customer(given: FollowUpInput) -> StepDone:  # noqa: ARG001 - the signature of such activities
    """Do the step, or fail."""
    if os.environ["FOLLOW_UP"] == "fails":
        raise ApplicationError("refused by the test", type="customer-collision", non_retryable=True)
    return StepDone()


async def main() -> None:
    """Poll until the process ends."""
    settings = Settings.load()
    engine = worker_engine(settings)
    extensions = Extensions(following=(TRACK_CUSTOMER,), activities=(track_customer,))
    await create_worker(settings, await connect(settings, is_worker=True), engine, extensions=extensions).run()


if __name__ == "__main__":
    asyncio.run(main())
