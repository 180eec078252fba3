"""The two Temporal servers that workflow tests run on, and a worker with scripted activities."""

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from app.embedded.temporal import EmbeddedTemporal
from app.worker.factory import WORKFLOWS
from tests.workflows.record_histories import CONVERTER
from tests.workflows.sandbox import QuickSandbox
from tests.workflows.scripted import Script

NewWorker = Callable[[Script], AbstractAsyncContextManager[str]]


# For tests of requests to a running workflow, in which the two servers could differ. The others take the server that
# skips time.
ON_BOTH_SERVERS = pytest.mark.parametrize("client", ["dev", "time-skipping"], indirect=True)


@pytest.fixture(scope="module")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server that skips the time until the next timer, while something waits for a result or for a time."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=time_skipping_program(), data_converter=CONVERTER
    ) as environment:
        yield environment


@pytest.fixture(scope="module")
def time_skipping_client(time_skipping: WorkflowEnvironment) -> Client:
    """A client of the server that skips time."""
    return time_skipping.client


@pytest.fixture
async def client(request: pytest.FixtureRequest, temporal: EmbeddedTemporal, time_skipping_client: Client) -> Client:
    """A client of a Temporal server: the one that skips time, or the dev server if the parameter says so."""
    if getattr(request, "param", "time-skipping") == "dev":
        return await Client.connect(temporal.address, data_converter=CONVERTER)
    return time_skipping_client


def time_skipping_program() -> str | None:
    return shutil.which("temporal-test-server", path=str(Path(sys.executable).parent))


@pytest.fixture
def worker(client: Client) -> NewWorker:
    """Runs a worker on a task queue of its own, whose name it yields; afterwards every history must replay."""

    @asynccontextmanager
    async def run(script: Script) -> AsyncIterator[str]:
        task_queue = f"queue-{uuid4()}"
        async with Worker(
            client,
            task_queue=task_queue,
            workflows=WORKFLOWS,
            activities=script.activities(),
            workflow_runner=QuickSandbox(),
        ):
            yield task_queue

    return run


@pytest.fixture
def replayer() -> Replayer:
    """Replays histories against the workflows as they are now."""
    return Replayer(workflows=WORKFLOWS, data_converter=CONVERTER, workflow_runner=QuickSandbox())
