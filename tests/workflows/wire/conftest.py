"""A worker as the worker process has it, with scripted activities."""

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.worker import Worker

from app.crypto.payload_keys import KeyRing
from app.temporal.client import encrypting
from app.temporal.encryption import EncryptionCodec, Role
from app.worker.factory import WORKFLOWS
from tests.workflows.deletions.scripted_deletion import real_time
from tests.workflows.record_histories import SECRET
from tests.workflows.sandbox import QuickSandbox
from tests.workflows.wire.scripted_wire import WireScript, clock_of
from tests.workflows.wire.wire import Wire, with_converter


@pytest.fixture
async def wire(client: Client, time_skipping_client: Client) -> AsyncIterator[Wire]:
    """The worker has our keys, and leaves in clear what Alga's client reads."""
    codec = EncryptionCodec(KeyRing.of(None, SECRET), Role.WORKER)
    script = WireScript(clock=clock_of(client) if client is time_skipping_client else real_time)
    ours = with_converter(client, encrypting(codec))
    wire = Wire(with_converter(client, DataConverter.default), ours, script)
    async with Worker(
        ours,
        task_queue=wire.task_queue,
        workflows=WORKFLOWS,
        activities=script.activities(),
        workflow_runner=QuickSandbox(),
    ):
        yield wire
