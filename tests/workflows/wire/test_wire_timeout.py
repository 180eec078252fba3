"""A deletion outlives the timeout of Alga's client.

In a module of its own: the server that skips time skips none any more once a workflow ends after its parent.
"""

from datetime import timedelta

import pytest
from temporalio.api.testservice.v1 import UnlockTimeSkippingRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.worker import Replayer

from tests.workflows.observing import check_replay
from tests.workflows.wire.wire import (
    ADA,
    Wire,
    ended,
    shows,
    skip,
)

pytestmark = pytest.mark.anyio


async def test_a_deletion_outlives_the_100_days_of_algas_client(wire: Wire, replayer: Replayer) -> None:
    parent = await wire.start()
    deletion = await wire.deletion_of(parent)
    started_at = await wire.script.clock()
    await shows(parent, status="awaiting_confirmation")
    await skip(wire, days=89)
    await parent.signal("confirmDeletion", {"type": "90_days", "confirmedBy": ADA})
    await shows(parent, status="confirmed")
    await skip(wire, days=12)
    assert await ended(parent) is WorkflowExecutionStatus.TIMED_OUT
    assert (await shows(deletion, status="confirmed"))["confirmationType"] == "90_days"
    service = wire.alga.service_client.test_service
    await service.unlock_time_skipping(UnlockTimeSkippingRequest())
    assert (await deletion.result())["deletedAt"]
    assert wire.script.purged_at is not None
    assert timedelta(days=179) <= wire.script.purged_at - started_at < timedelta(days=181)
    await check_replay(wire.as_we_see(deletion), replayer)
