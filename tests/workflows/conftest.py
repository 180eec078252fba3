"""The two Temporal servers that every workflow test runs on, and a worker with scripted activities."""

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
from tests.workflows.scripted import Script

NewWorker = Callable[[Script], AbstractAsyncContextManager[str]]


@pytest.fixture(params=["dev", "time-skipping"])
async def client(request: pytest.FixtureRequest, temporal: EmbeddedTemporal) -> AsyncIterator[Client]:
    """A client of a real Temporal server: the dev server, and the one that skips time."""
    if request.param == "dev":
        yield await Client.connect(temporal.address, data_converter=CONVERTER)
        return
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=time_skipping_program(), data_converter=CONVERTER
    ) as environment:
        yield environment.client


def time_skipping_program() -> str | None:
    return shutil.which("temporal-test-server", path=str(Path(sys.executable).parent))


@pytest.fixture
def worker(client: Client) -> NewWorker:
    """Runs a worker on a task queue of its own, whose name it yields; afterwards every history must replay."""

    @asynccontextmanager
    async def run(script: Script) -> AsyncIterator[str]:
        task_queue = f"queue-{uuid4()}"
        async with Worker(client, task_queue=task_queue, workflows=WORKFLOWS, activities=script.activities()):
            yield task_queue

    return run


@pytest.fixture
def replayer() -> Replayer:
    """Replays histories against the workflows as they are now."""
    return Replayer(workflows=WORKFLOWS, data_converter=CONVERTER)
